// The kernels of fused.cpp. Included there once for each instruction set, inside a namespace of its own, with CT_WIDTH numbers to a
// vector; the compiler lays the vectors out for that set.

constexpr int64_t width = CT_WIDTH;
typedef float Floats __attribute__((vector_size(4 * width)));
typedef int32_t Ints __attribute__((vector_size(4 * width)));
typedef uint16_t Shorts __attribute__((vector_size(2 * width)));

inline Floats load(const float *p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/// A bfloat16 is the upper half of a float.
inline Floats load(const at::BFloat16 *p) {
  Shorts v;
  __builtin_memcpy(&v, p, sizeof v);
  return (Floats)(__builtin_convertvector(v, Ints) << 16);
}

inline void store(float *p, Floats v) { __builtin_memcpy(p, &v, sizeof v); }

inline void store(at::BFloat16 *p, Floats v) {
#if CT_WIDTH == 16
  typedef __bf16 Halves __attribute__((vector_size(2 * width)));
  Halves h = __builtin_convertvector(v, Halves);  // one instruction
#else
  Ints bits = (Ints)v;
  bits += 0x7fff + ((bits >> 16) & 1);  // to nearest, ties to even
  Shorts h = __builtin_convertvector(bits >> 16, Shorts);
#endif
  __builtin_memcpy(p, &h, sizeof h);
}

/// 2^z to about two units in the last place: 2^k·2^f with |f| ≤ ½ and a polynomial for 2^f. Clamped to |z| ≤ 126.
inline Floats power_of_two(Floats z) {
  z = z > 126.f ? Floats{} + 126.f : z;
  z = z < -126.f ? Floats{} - 126.f : z;
  Floats k = (z + 12582912.f) - 12582912.f;  // adding 1.5·2²³ rounds to a whole number
  Floats f = z - k;
  Floats p = 1.535336188319500e-4f * f + 1.339887440266574e-3f;
  p = p * f + 9.618437357674640e-3f;
  p = p * f + 5.550332471162809e-2f;
  p = p * f + 2.402264791363012e-1f;
  p = p * f + 6.931472028550421e-1f;
  p = p * f + 1.f;
  return (Floats)((Ints)p + (__builtin_convertvector(k, Ints) << 23));
}

/// v/(1 + e^−v)
inline Floats silu(Floats v) { return v / (1.f + power_of_two(v * -1.44269504f)); }

/// Sums of x − pivot and of its square over the pixels, for `width·blocks` channels; the pivot keeps the difference of two large
/// numbers out of the variance.
template <int blocks, typename T>
inline void sum_channels(const T *x, int64_t pixels, int64_t channels, float *pivots, float *sums, float *squares) {
  Floats pivot[blocks], s[blocks], q[blocks];
  for (int b = 0; b < blocks; ++b) {
    pivot[b] = load(x + b * width);
    s[b] = q[b] = Floats{};
  }
  for (int64_t i = 0; i < pixels; ++i) {
    for (int b = 0; b < blocks; ++b) {
      Floats d = load(x + i * channels + b * width) - pivot[b];
      s[b] += d;
      q[b] += d * d;
    }
  }
  for (int b = 0; b < blocks; ++b) {
    store(pivots + b * width, pivot[b]);
    store(sums + b * width, s[b]);
    store(squares + b * width, q[b]);
  }
}

/// y = act(x·scale + offset)
template <bool active, typename T>
inline void write_pixels(const T *x, T *y, int64_t pixels, int64_t channels, const float *scales, const float *offsets) {
  for (int64_t c = 0; c < channels; c += width) {
    const Floats scale = load(scales + c), offset = load(offsets + c);
    for (int64_t i = 0; i < pixels; ++i) {
      Floats v = load(x + i * channels + c) * scale + offset;
      store(y + i * channels + c, active ? silu(v) : v);
    }
  }
}

/// Group normalisation of one channels-last image [pixels, channels], with what stands around it fused in:
///
///   y = act(((x + shift) − μ)·γ/√(σ² + ε) + β), where act is silu or nothing
///
/// One pass for the sums of every channel, a few numbers for every group, one pass that writes.
///
/// - scratch: room for 3·channels numbers.
template <typename T>
void normalise(const T *x, T *y, const ImageNorm &norm, const float *shift, float *scratch) {
  const int64_t channels = norm.channels, pixels = norm.pixels, each = channels / norm.groups;
  float *pivots = scratch, *sums = scratch + channels, *squares = scratch + 2 * channels;
  int64_t c = 0;
  for (; c + 4 * width <= channels; c += 4 * width)
    sum_channels<4>(x + c, pixels, channels, pivots + c, sums + c, squares + c);
  for (; c < channels; c += width)
    sum_channels<1>(x + c, pixels, channels, pivots + c, sums + c, squares + c);
  for (int64_t g = 0; g < norm.groups; ++g) {
    // Each channel has its own mean m and spread; a group's variance is the mean spread plus the variance of the means.
    double mean = 0, spread = 0;
    for (int64_t i = g * each; i < (g + 1) * each; ++i) {
      const double d = sums[i] / double(pixels);
      spread += squares[i] / double(pixels) - d * d;
      mean += d + pivots[i] + (shift ? shift[i] : 0.f);
    }
    mean /= double(each);
    for (int64_t i = g * each; i < (g + 1) * each; ++i) {
      const double m = sums[i] / double(pixels) + pivots[i] + (shift ? shift[i] : 0.f) - mean;
      spread += m * m;
    }
    const double slope = 1 / __builtin_sqrt(__builtin_fmax(spread / double(each), 0) + norm.epsilon);
    for (int64_t i = g * each; i < (g + 1) * each; ++i) {
      const double scale = norm.weight[i] * slope;
      squares[i] = float(norm.bias[i] + ((shift ? shift[i] : 0.f) - mean) * scale);
      sums[i] = float(scale);
    }
  }
  // A band of pixels at a time, so that all its channels are in the nearest cache.
  const int64_t band = 64;
  for (int64_t i = 0; i < pixels; i += band) {
    const int64_t count = pixels - i < band ? pixels - i : band;
    const T *from = x + i * channels;
    T *to = y + i * channels;
    if (norm.active) write_pixels<true>(from, to, count, channels, sums, squares);
    else write_pixels<false>(from, to, count, channels, sums, squares);
  }
}

/// Attention of narrow heads, one query to a lane, so that nothing is summed across lanes:
///
///   y [queries, heads·d] = softmax(q·kᵀ/√d)·v, head by head
///
/// - scratch: room for (2·d + width)·keys numbers.
template <int d, typename T>
void attend(const Rows<T> &q, const Rows<T> &k, const Rows<T> &v, T *y, int64_t heads, float *scratch) {
  float *keys = scratch, *values = scratch + d * k.count, *scores = scratch + 2 * d * k.count;
  const float scale = 1.44269504f / __builtin_sqrtf(float(d));  // powers of two below
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t j = 0; j < k.count; ++j)
      for (int c = 0; c < d; ++c) {
        keys[j * d + c] = float(k.first[j * k.stride + h * d + c]);
        values[j * d + c] = float(v.first[j * v.stride + h * d + c]);
      }
    for (int64_t i = 0; i < q.count; i += width) {
      const int lanes = q.count - i < width ? int(q.count - i) : int(width);
      Floats query[d], out[d], most = Floats{} - 3e38f, sum = Floats{};
      for (int c = 0; c < d; ++c) {
        query[c] = out[c] = Floats{};
        for (int lane = 0; lane < lanes; ++lane) query[c][lane] = float(q.first[(i + lane) * q.stride + h * d + c]) * scale;
      }
      for (int64_t j = 0; j < k.count; ++j) {
        Floats s = query[0] * keys[j * d];
        for (int c = 1; c < d; ++c) s += query[c] * keys[j * d + c];
        store(scores + j * width, s);
        most = s > most ? s : most;
      }
      for (int64_t j = 0; j < k.count; ++j) {
        const Floats p = power_of_two(load(scores + j * width) - most);
        sum += p;
        for (int c = 0; c < d; ++c) out[c] += p * values[j * d + c];
      }
      for (int c = 0; c < d; ++c) {
        out[c] = out[c] / sum;
        for (int lane = 0; lane < lanes; ++lane) y[(i + lane) * heads * d + h * d + c] = T(out[c][lane]);
      }
    }
  }
}
