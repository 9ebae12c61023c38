// What a U-Net's inference on the CPU spends its time on beside convolutions, in one go each: group normalisation with its
// activation, which libtorch does in six passes over the image, and attention of narrow heads, which its kernels are not made for.
// Whatever does not fit (a gradient, a device, a layout) takes libtorch's own operations.
#include <ATen/TensorIterator.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cstring>

#include "support.hpp"

using namespace ctorch;

namespace {

struct ImageNorm {
  int64_t channels, pixels, groups;
  double epsilon;
  bool active;
  const float *weight, *bias;
};

/// Vectors of one image, all heads beside each other.
template <typename T>
struct Rows {
  const T *first;
  int64_t count, stride;
};

#if defined(__x86_64__)
namespace avx512 {
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"))), apply_to = function)
#define CT_WIDTH 16
#include "fused_kernels.hpp"
#undef CT_WIDTH
#pragma clang attribute pop
}  // namespace avx512

namespace avx2 {
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define CT_WIDTH 8
#include "fused_kernels.hpp"
#undef CT_WIDTH
#pragma clang attribute pop
}  // namespace avx2
#endif

namespace plain {
#define CT_WIDTH 4
#include "fused_kernels.hpp"
#undef CT_WIDTH
}  // namespace plain

/// The kernels for this processor.
template <typename T>
struct Kernels {
  void (*normalise)(const T *, T *, const ImageNorm &, const float *, float *);
  void (*attend8)(const Rows<T> &, const Rows<T> &, const Rows<T> &, T *, int64_t, float *);
  void (*attend16)(const Rows<T> &, const Rows<T> &, const Rows<T> &, T *, int64_t, float *);

  static const Kernels &best() {
    static const Kernels kernels = choose();
    return kernels;
  }

 private:
  static Kernels choose() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
      return {avx512::normalise<T>, avx512::attend<8, T>, avx512::attend<16, T>};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
      return {avx2::normalise<T>, avx2::attend<8, T>, avx2::attend<16, T>};
#endif
    return {plain::normalise<T>, plain::attend<8, T>, plain::attend<16, T>};
  }
};

/// Calls `work` with parts of 0 ..< count, on libtorch's threads. at::parallel_for is a template that is serial wherever it was not
/// compiled with libtorch's own OpenMP; this loop was.
template <typename Work>
void in_parallel(int64_t count, const Work &work) {
  auto marks = at::empty({count}, at::kByte);
  const auto *first = static_cast<const char *>(marks.const_data_ptr());
  auto iterator = at::TensorIterator::nullary_op(marks);
  iterator.for_each(
      [&](char **data, const int64_t *, int64_t size, int64_t repeats) {
        const auto begin = data[0] - first;
        work(begin, begin + size * repeats);
      },
      1);
}

bool records(const at::Tensor &a) { return c10::GradMode::is_enabled() && a.requires_grad(); }

bool has_kernels(const at::Tensor &a) {
  return a.dim() == 4 && a.is_cpu() && (a.scalar_type() == at::kFloat || a.scalar_type() == at::kBFloat16);
}

// ---- group normalisation

template <typename T>
void normalise_all(const at::Tensor &x, const at::Tensor &y, const ImageNorm &norm, const at::Tensor &shift) {
  const auto &kernels = Kernels<T>::best();
  const auto *from = x.const_data_ptr<T>();
  auto *to = y.mutable_data_ptr<T>();
  const auto *shifts = shift.defined() ? shift.const_data_ptr<float>() : nullptr;
  in_parallel(x.size(0), [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(3 * norm.channels);
    for (auto n = begin; n < end; ++n) {
      const auto offset = n * norm.channels * norm.pixels;
      kernels.normalise(from + offset, to + offset, norm, shifts ? shifts + n * norm.channels : nullptr,
                        scratch.data());
    }
  });
}

at::Tensor group_norm(const at::Tensor &x, const at::Tensor &shift, int64_t groups, const at::Tensor &weight,
                      const at::Tensor &bias, double epsilon, bool active) {
  if (shift.defined())
    TORCH_CHECK(shift.dim() == 2 && shift.size(0) == x.size(0) && shift.size(1) == x.size(1), "a shift of shape ",
                shift.sizes(), " for images of shape ", x.sizes());
  const bool fits = has_kernels(x) && groups > 0 && x.size(1) % 16 == 0 && x.size(1) % groups == 0 &&
                    x.is_contiguous(at::MemoryFormat::ChannelsLast) && !records(x) && !records(weight) &&
                    !records(bias) && !(shift.defined() && records(shift));
  if (!fits) {
    const auto moved = shift.defined() ? at::add(x, shift.unsqueeze(-1).unsqueeze(-1)) : x;
    const auto normed = at::group_norm(moved, groups, weight, bias, epsilon);
    return active ? at::silu(normed) : normed;
  }
  TORCH_CHECK(weight.numel() == x.size(1) && bias.numel() == x.size(1), "weight and bias of ", weight.numel(), " and ",
              bias.numel(), " channels for images of ", x.size(1));
  const auto scales = weight.to(at::kFloat).contiguous(), offsets = bias.to(at::kFloat).contiguous();
  const auto shifts = shift.defined() ? shift.to(at::kFloat).contiguous() : at::Tensor();
  auto y = at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast);
  const ImageNorm norm{x.size(1),
                       x.size(2) * x.size(3),
                       groups,
                       epsilon,
                       active,
                       scales.const_data_ptr<float>(),
                       offsets.const_data_ptr<float>()};
  if (x.scalar_type() == at::kFloat) normalise_all<float>(x, y, norm, shifts);
  else normalise_all<at::BFloat16>(x, y, norm, shifts);
  return y;
}

// ---- attention

/// [N, heads, length, d] whose heads lie beside each other, as they do after a split of [N, length, heads·d].
bool is_split(const at::Tensor &a) {
  return a.stride(3) == 1 && (a.size(1) == 1 || a.stride(1) == a.size(3));
}

template <typename T>
at::Tensor attend_all(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v) {
  const auto heads = q.size(1), length = q.size(2), width = q.size(3);
  const auto attend = width == 8 ? Kernels<T>::best().attend8 : Kernels<T>::best().attend16;
  auto y = at::empty({q.size(0), length, heads, width}, q.options());
  auto *to = y.template mutable_data_ptr<T>();
  const auto rows = [](const at::Tensor &a, int64_t n) {
    return Rows<T>{a.const_data_ptr<T>() + n * a.stride(0), a.size(2), a.stride(2)};
  };
  in_parallel(q.size(0), [&](int64_t begin, int64_t end) {
    std::vector<float> scratch((2 * width + 16) * k.size(2));
    for (auto n = begin; n < end; ++n)
      attend(rows(q, n), rows(k, n), rows(v, n), to + n * length * heads * width, heads, scratch.data());
  });
  return y.transpose(1, 2);
}

at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale) {
  const bool fits = scale <= 0 && has_kernels(q) && (q.size(3) == 8 || q.size(3) == 16) && k.sizes() == v.sizes() &&
                    k.dim() == 4 && k.size(0) == q.size(0) && k.size(1) == q.size(1) && k.size(3) == q.size(3) &&
                    k.size(2) > 0 && k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type() &&
                    k.is_cpu() && v.is_cpu() && is_split(q) && is_split(k) && is_split(v) && !records(q) &&
                    !records(k) && !records(v);
  if (!fits) {
    const auto factor = scale > 0 ? std::optional<double>(scale) : std::nullopt;
    const auto call = [&](const at::Tensor &a, const at::Tensor &b, const at::Tensor &c) {
      return at::scaled_dot_product_attention(a, b, c, {}, 0.0, false, factor);
    };
    // The gradient of libtorch's bfloat16 kernel takes five times as long as that of its float32 one on narrow heads.
    if (q.is_cpu() && q.scalar_type() == at::kBFloat16 && records(q)) {
      const c10::impl::ExcludeDispatchKeyGuard plain(c10::DispatchKey::AutocastCPU);
      return call(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat)).to(at::kBFloat16);
    }
    return call(q, k, v);
  }
  return q.scalar_type() == at::kFloat ? attend_all<float>(q, k, v) : attend_all<at::BFloat16>(q, k, v);
}

// ---- convolution of an image twice as large

/// [O, I, 3, 3] → [4·O, I, 2, 2]: for the upper left, upper right, lower left and lower right of four equal pixels.
at::Tensor fold_upsampling(const at::Tensor &weight) {
  TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3, "a 3×3 kernel is wanted, not one of shape ",
              weight.sizes());
  // Of three neighbours two are the same pixel: the last two seen from the first of a pair, the first two from the second.
  const auto fold = [](const at::Tensor &w, int64_t dim, bool second) {
    const auto a = w.narrow(dim, 0, 1), b = w.narrow(dim, 1, 1), c = w.narrow(dim, 2, 1);
    return second ? at::cat({at::add(a, b), c}, dim) : at::cat({a, at::add(b, c)}, dim);
  };
  const auto wide = weight.detach().to(at::kFloat);
  std::vector<at::Tensor> parts;
  for (const bool lower : {false, true})
    for (const bool right : {false, true}) parts.push_back(fold(fold(wide, 2, lower), 3, right));
  return at::cat(parts, 0).to(weight.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
}

/// [N, 4·C, H + 1, W + 1], four pixels beside each other → [N, C, 2·H, 2·W]
at::Tensor spread(const at::Tensor &x) {
  const auto channels = x.size(1) / 4, height = x.size(2) - 1, width = x.size(3) - 1;
  auto y = at::empty({x.size(0), channels, 2 * height, 2 * width}, x.options(), at::MemoryFormat::ChannelsLast);
  const auto bytes = static_cast<size_t>(channels) * x.element_size();
  const auto *from = static_cast<const char *>(x.const_data_ptr());
  auto *to = static_cast<char *>(y.mutable_data_ptr());
  in_parallel(x.size(0) * 2 * height, [&](int64_t begin, int64_t end) {
    for (auto row = begin; row < end; ++row) {
      const auto n = row / (2 * height), i = row % (2 * height);
      for (int64_t j = 0; j < 2 * width; ++j) {
        const auto pixel = (n * (height + 1) + (i + 1) / 2) * (width + 1) + (j + 1) / 2;
        std::memcpy(to + (row * 2 * width + j) * bytes, from + (pixel * 4 + 2 * (i % 2) + j % 2) * bytes, bytes);
      }
    }
  });
  return y;
}

at::Tensor upsampled_conv2d(const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias,
                            const at::Tensor &folded) {
  if (folded.defined() && has_kernels(x) && x.is_contiguous(at::MemoryFormat::ChannelsLast)) {
    const auto biases = bias ? std::optional(bias->repeat({4})) : std::nullopt;
    return spread(at::conv2d(x, folded, biases, 1, 1).contiguous(at::MemoryFormat::ChannelsLast));
  }
  const auto larger = at::upsample_nearest2d(x, at::IntArrayRef({2 * x.size(2), 2 * x.size(3)}));
  return at::conv2d(larger, weight, bias, 1, 1);
}

}  // namespace

extern "C" {

ct_status ct_fold_upsampling(ct_tensor weight, ct_tensor *out) { CT_MAKE(fold_upsampling(get(weight))) }

ct_status ct_upsampled_conv2d(ct_tensor x, ct_tensor weight, ct_tensor optional_bias, ct_tensor optional_folded,
                              ct_tensor *out) {
  CT_MAKE(upsampled_conv2d(get(x), get(weight), optional(optional_bias),
                           optional_folded == nullptr ? at::Tensor() : get(optional_folded)))
}

ct_status ct_group_norm(ct_tensor x, ct_tensor optional_shift, int64_t groups, ct_tensor weight, ct_tensor bias,
                        double epsilon, bool silu, ct_tensor *out) {
  CT_MAKE(group_norm(get(x), optional_shift == nullptr ? at::Tensor() : get(optional_shift), groups, get(weight),
                     get(bias), epsilon, silu))
}

ct_status ct_attention(ct_tensor query, ct_tensor key, ct_tensor value, double scale, ct_tensor *out) {
  CT_MAKE(attention(get(query), get(key), get(value), scale))
}

}  // extern "C"
