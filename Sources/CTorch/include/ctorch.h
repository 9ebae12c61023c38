// A C interface to libtorch, written by hand: what CollaFuse needs and no more.
//
// Rules that every function keeps:
//   - it returns a `ct_status`; results go through out-pointers, which stay NULL (or untouched) on failure;
//   - no C++ exception leaves it; `ct_last_error()` is the message of the last failure on this thread, until the next;
//   - a `ct_tensor` written to an out-pointer is owned by the caller, who gives it back to `ct_free` once;
//   - a NULL `ct_tensor` as input fails with CT_UNDEFINED, so that a failed result can flow on through further calls;
//     parameters marked `optional` may be NULL;
//   - no global state is touched but what libtorch itself keeps: the thread's gradient mode and the thread counts.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ct_tensor_s *ct_tensor;
typedef int32_t ct_status;

enum {
  CT_OK = 0,
  CT_INVALID = 1,        // libtorch refused: shapes, types, arguments
  CT_OUT_OF_MEMORY = 2,  // host or device memory is exhausted; the process is otherwise sound
  CT_UNDEFINED = 3,      // an operand is the result of a call that failed before
  CT_INTERNAL = 4,       // any other C++ exception
};

// The numbers are this interface's own and not libtorch's, so they survive a change of libtorch.
enum {
  CT_FLOAT64 = 0,
  CT_FLOAT32 = 1,
  CT_FLOAT16 = 2,
  CT_BFLOAT16 = 3,
  CT_INT64 = 4,
  CT_INT32 = 5,
  CT_INT16 = 6,
  CT_INT8 = 7,
  CT_UINT8 = 8,
  CT_BOOL = 9,
};

enum { CT_CPU = 0, CT_CUDA = 1 };

typedef struct {
  int32_t kind;   // CT_CPU or CT_CUDA
  int32_t index;  // which accelerator; 0 on the CPU
} ct_device;

enum { CT_CONTIGUOUS = 0, CT_CHANNELS_LAST = 1, CT_PRESERVE = 2 };

// ---- runtime.cpp: errors, threads, gradient mode, the balance of tensors
const char *ct_last_error(void);
int64_t ct_balance(void);  // tensors handed out on this thread minus tensors freed on it
const char *ct_version(void);
ct_status ct_set_threads(int32_t count);  // threads inside one operation
ct_status ct_threads(int32_t *out);
void ct_keep_freed_memory(void);  // at the start of a process whose passes are all alike
ct_status ct_set_flush_denormal(bool on);
bool ct_gradients_enabled(void);  // of this thread
void ct_set_gradients_enabled(bool on);
// Convolutions and products of matrices compute in `dtype` whatever their operands are, on this thread, until it is left.
ct_status ct_mixed_enter(int32_t dtype);
ct_status ct_mixed_leave(void);
bool ct_cpu_has_bfloat16(void);  // instructions that multiply bfloat16
void ct_free(ct_tensor tensor);  // NULL is allowed

// A scope records the first failure on this thread instead of letting the caller trap. Scopes nest.
void ct_scope_enter(void);
bool ct_scope_active(void);
void ct_scope_record(ct_status status, const char *message);
ct_status ct_scope_leave(char *message, int64_t capacity);  // the recorded status; copies its message, NUL-terminated

// ---- device.cpp: CUDA devices. What is said of a device holds for the CPU too, where it does nothing.
ct_status ct_cuda_devices(int32_t *out);  // loads libtorch's half for CUDA; fails, saying why, where no device can be used
ct_status ct_cuda_device_name(int32_t index, char *out, int64_t capacity);  // its maker's, cut off to fit
ct_status ct_finish(ct_device device);          // waits until all is done that the device was given
ct_status ct_release_memory(ct_device device);  // what libtorch keeps for later, on the device and pinned on the host
// Work recorded once and run again as a whole, on one thread: new, enter, warm up, begin, the work, end, leave; then replay.
typedef struct ct_graph_s *ct_graph;
ct_status ct_graph_new(ct_device device, ct_graph *out);  // fails where there are none
ct_status ct_graph_enter(ct_graph graph);
ct_status ct_graph_begin(ct_graph graph);
ct_status ct_graph_end(ct_graph graph);  // after any ct_graph_begin, failed or not
void ct_graph_leave(ct_graph graph);
ct_status ct_graph_replay(ct_graph graph);
void ct_graph_free(ct_graph graph);  // NULL is allowed

// ---- creation.cpp: making tensors, looking at them, moving them
ct_status ct_from_bytes(const void *bytes, int64_t count, int32_t dtype, const int64_t *shape, int32_t rank,
                        ct_device device, ct_tensor *out);
ct_status ct_full(double value, int32_t dtype, const int64_t *shape, int32_t rank, ct_device device, ct_tensor *out);
ct_status ct_empty(int32_t dtype, const int64_t *shape, int32_t rank, ct_device device, ct_tensor *out);
ct_status ct_arange(double start, double end, double step, int32_t dtype, ct_device device, ct_tensor *out);
ct_status ct_eye(int64_t n, int32_t dtype, ct_device device, ct_tensor *out);
ct_status ct_copy_out(ct_tensor a, void *bytes, int64_t count);  // row-major bytes on the host
ct_status ct_rank(ct_tensor a, int32_t *out);
ct_status ct_shape(ct_tensor a, int64_t *out);    // `rank` numbers
ct_status ct_strides(ct_tensor a, int64_t *out);  // `rank` numbers, in elements
ct_status ct_dtype(ct_tensor a, int32_t *out);
ct_status ct_device_of(ct_tensor a, ct_device *out);
// Two numbers that are others once the elements are changed or replaced
ct_status ct_revision(ct_tensor a, int64_t *out);
ct_status ct_is_contiguous(ct_tensor a, int32_t format, bool *out);
ct_status ct_item(ct_tensor a, double *out);  // the only element, as a double
ct_status ct_item_int(ct_tensor a, int64_t *out);
ct_status ct_to_dtype(ct_tensor a, int32_t dtype, ct_tensor *out);
ct_status ct_to_device(ct_tensor a, ct_device device, ct_tensor *out);
ct_status ct_to_format(ct_tensor a, int32_t format, ct_tensor *out);
ct_status ct_clone(ct_tensor a, ct_tensor *out);

// ---- pointwise.cpp
ct_status ct_add(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_sub(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_mul(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_div(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_add_scalar(ct_tensor a, double b, ct_tensor *out);
ct_status ct_mul_scalar(ct_tensor a, double b, ct_tensor *out);
ct_status ct_div_scalar(ct_tensor a, double b, ct_tensor *out);
ct_status ct_scalar_sub(double a, ct_tensor b, ct_tensor *out);
ct_status ct_scalar_div(double a, ct_tensor b, ct_tensor *out);
ct_status ct_pow_scalar(ct_tensor a, double exponent, ct_tensor *out);
ct_status ct_maximum(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_minimum(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_lerp(ct_tensor a, ct_tensor b, double weight, ct_tensor *out);  // a + weight·(b − a)
ct_status ct_neg(ct_tensor a, ct_tensor *out);
ct_status ct_abs(ct_tensor a, ct_tensor *out);
ct_status ct_exp(ct_tensor a, ct_tensor *out);
ct_status ct_log(ct_tensor a, ct_tensor *out);
ct_status ct_sqrt(ct_tensor a, ct_tensor *out);
ct_status ct_rsqrt(ct_tensor a, ct_tensor *out);
ct_status ct_square(ct_tensor a, ct_tensor *out);
ct_status ct_sin(ct_tensor a, ct_tensor *out);
ct_status ct_cos(ct_tensor a, ct_tensor *out);
ct_status ct_tanh(ct_tensor a, ct_tensor *out);
ct_status ct_sigmoid(ct_tensor a, ct_tensor *out);
ct_status ct_silu(ct_tensor a, ct_tensor *out);
ct_status ct_relu(ct_tensor a, ct_tensor *out);
ct_status ct_mish(ct_tensor a, ct_tensor *out);
ct_status ct_gelu(ct_tensor a, bool tanh_approximation, ct_tensor *out);
ct_status ct_round(ct_tensor a, ct_tensor *out);
ct_status ct_clamp(ct_tensor a, double low, double high, ct_tensor *out);
ct_status ct_isnan(ct_tensor a, ct_tensor *out);
ct_status ct_all_finite(ct_tensor a, bool *out);
enum { CT_EQ = 0, CT_NE = 1, CT_LT = 2, CT_LE = 3, CT_GT = 4, CT_GE = 5 };
ct_status ct_compare(ct_tensor a, ct_tensor b, int32_t relation, ct_tensor *out);
ct_status ct_compare_scalar(ct_tensor a, double b, int32_t relation, ct_tensor *out);
ct_status ct_logical_not(ct_tensor a, ct_tensor *out);
ct_status ct_where(ct_tensor condition, ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_masked_fill(ct_tensor a, ct_tensor mask, double value, ct_tensor *out);
// In place. Each returns nothing but the status; the tensor changes.
ct_status ct_add_in_place(ct_tensor a, ct_tensor b, double alpha);  // a += alpha·b
ct_status ct_mul_in_place(ct_tensor a, double factor);
ct_status ct_fill_in_place(ct_tensor a, double value);
ct_status ct_copy_in_place(ct_tensor a, ct_tensor source);  // broadcasts and converts
ct_status ct_lerp_in_place(ct_tensor a, ct_tensor b, double weight);

// ---- reduce.cpp. `dims` NULL with `rank` 0 means over all elements.
ct_status ct_sum(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out);
ct_status ct_mean(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out);
ct_status ct_var(ct_tensor a, const int64_t *dims, int32_t rank, double correction, bool keep, ct_tensor *out);
ct_status ct_amin(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out);
ct_status ct_amax(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out);
ct_status ct_norm(ct_tensor a, const int64_t *dims, int32_t rank, bool keep, ct_tensor *out);  // Euclidean
ct_status ct_argmax(ct_tensor a, int64_t dim, bool keep, ct_tensor *out);
ct_status ct_argmin(ct_tensor a, int64_t dim, bool keep, ct_tensor *out);
ct_status ct_cumsum(ct_tensor a, int64_t dim, ct_tensor *out);
ct_status ct_sort(ct_tensor a, int64_t dim, ct_tensor *out);  // rising
ct_status ct_softmax(ct_tensor a, int64_t dim, ct_tensor *out);
ct_status ct_log_softmax(ct_tensor a, int64_t dim, ct_tensor *out);

// ---- shape.cpp
ct_status ct_reshape(ct_tensor a, const int64_t *shape, int32_t rank, ct_tensor *out);
ct_status ct_expand(ct_tensor a, const int64_t *shape, int32_t rank, ct_tensor *out);
ct_status ct_permute(ct_tensor a, const int64_t *dims, int32_t rank, ct_tensor *out);
ct_status ct_transpose(ct_tensor a, int64_t dim0, int64_t dim1, ct_tensor *out);
ct_status ct_unsqueeze(ct_tensor a, int64_t dim, ct_tensor *out);
ct_status ct_squeeze(ct_tensor a, int64_t dim, ct_tensor *out);
ct_status ct_flatten(ct_tensor a, int64_t start, int64_t end, ct_tensor *out);
ct_status ct_narrow(ct_tensor a, int64_t dim, int64_t start, int64_t length, ct_tensor *out);
ct_status ct_select(ct_tensor a, int64_t dim, int64_t index, ct_tensor *out);
ct_status ct_slice(ct_tensor a, int64_t dim, int64_t start, int64_t end, int64_t step, ct_tensor *out);
ct_status ct_flip(ct_tensor a, const int64_t *dims, int32_t rank, ct_tensor *out);
ct_status ct_repeat_interleave(ct_tensor a, int64_t repeats, int64_t dim, ct_tensor *out);
// Last dimension first, as PyTorch
ct_status ct_pad(ct_tensor a, const int64_t *pad, int32_t count, double value, ct_tensor *out);
ct_status ct_cat(const ct_tensor *tensors, int32_t count, int64_t dim, ct_tensor *out);
ct_status ct_stack(const ct_tensor *tensors, int32_t count, int64_t dim, ct_tensor *out);
// Writes `count` tensors
ct_status ct_split(ct_tensor a, const int64_t *sizes, int32_t count, int64_t dim, ct_tensor *out);
ct_status ct_index_select(ct_tensor a, int64_t dim, ct_tensor index, ct_tensor *out);
ct_status ct_gather(ct_tensor a, int64_t dim, ct_tensor index, ct_tensor *out);

// ---- nn.cpp
ct_status ct_linear(ct_tensor x, ct_tensor weight, ct_tensor optional_bias, ct_tensor *out);
ct_status ct_conv2d(ct_tensor x, ct_tensor weight, ct_tensor optional_bias, int64_t stride, int64_t padding,
                    int64_t dilation, int64_t groups, ct_tensor *out);
ct_status ct_layer_norm(ct_tensor x, const int64_t *shape, int32_t rank, ct_tensor optional_weight,
                        ct_tensor optional_bias, double epsilon, ct_tensor *out);
ct_status ct_embedding(ct_tensor weight, ct_tensor indices, ct_tensor *out);
ct_status ct_upsample_nearest2d(ct_tensor x, int64_t height, int64_t width, ct_tensor *out);
ct_status ct_avg_pool2d(ct_tensor x, int64_t kernel, int64_t stride, int64_t padding, ct_tensor *out);
ct_status ct_max_pool2d(ct_tensor x, int64_t kernel, int64_t stride, int64_t padding, ct_tensor *out);
ct_status ct_mse_loss(ct_tensor a, ct_tensor b, ct_tensor *out);  // mean over all elements
// Mean over the batch
ct_status ct_cross_entropy(ct_tensor logits, ct_tensor labels, double label_smoothing, ct_tensor *out);

// ---- fused.cpp: the same results in fewer passes, for inference on the CPU in float32 and bfloat16; elsewhere libtorch's own way
// act(group_norm(x + shift)) with shift [N, C] or NULL and act silu or nothing. Fused where x lies channels-last.
ct_status ct_group_norm(ct_tensor x, ct_tensor optional_shift, int64_t groups, ct_tensor weight, ct_tensor bias,
                        double epsilon, bool silu, ct_tensor *out);
// [N, heads, length, d]. Scale <= 0: 1/√d. Fused where d is 8 or 16.
ct_status ct_attention(ct_tensor query, ct_tensor key, ct_tensor value, double scale, ct_tensor *out);

// conv2d(upsample_nearest2d(x, 2×), weight, bias, padding 1) for a 3×3 weight. Between repeated pixels a 3×3 kernel sees only 2×2
// different ones, so four 2×2 kernels, one for each pixel of a repeated one, do the same with less than half the products.
// `folded` is what ct_fold_upsampling made of the weight; NULL: libtorch's own way, which records gradients.
ct_status ct_fold_upsampling(ct_tensor weight, ct_tensor *out);
ct_status ct_upsampled_conv2d(ct_tensor x, ct_tensor weight, ct_tensor optional_bias, ct_tensor optional_folded,
                              ct_tensor *out);

// ---- linalg.cpp
ct_status ct_matmul(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_bmm(ct_tensor a, ct_tensor b, ct_tensor *out);
ct_status ct_cdist(ct_tensor a, ct_tensor b, ct_tensor *out);  // Euclidean distance of every row to every row
ct_status ct_eigh(ct_tensor a, ct_tensor *values, ct_tensor *vectors);
ct_status ct_svd(ct_tensor a, ct_tensor *u, ct_tensor *s, ct_tensor *vh);
ct_status ct_trace(ct_tensor a, ct_tensor *out);

// ---- autograd.cpp
ct_status ct_backward(ct_tensor a, ct_tensor optional_gradient);
ct_status ct_gradient(ct_tensor a, ct_tensor *out);  // *out stays NULL where there is none
ct_status ct_requires_gradient(ct_tensor a, bool *out);
ct_status ct_set_requires_gradient(ct_tensor a, bool on);
ct_status ct_detach(ct_tensor a, ct_tensor *out);
// A keeps its identity and takes the source's storage and type
ct_status ct_replace_data(ct_tensor a, ct_tensor source);
ct_status ct_drop_gradients(const ct_tensor *tensors, int32_t count);

// ---- optimise.cpp: one call for all parameters, because a small network's step is mostly call overhead
typedef struct {
  double learning_rate, beta1, beta2, epsilon, weight_decay;
} ct_adamw;
// Parameters without a gradient are skipped. `steps` are float32 scalars, counted up here.
ct_status ct_adamw_step(const ct_tensor *parameters, const ct_tensor *first, const ct_tensor *second,
                        const ct_tensor *steps, int32_t count, ct_adamw options);
// Scales all gradients so that their joint Euclidean norm is at most `limit`; writes the norm before that.
ct_status ct_clip_gradients(const ct_tensor *parameters, int32_t count, double limit, double *norm);
// average += (1 − decay)·(parameter − average), for all
ct_status ct_ema_update(const ct_tensor *averages, const ct_tensor *parameters, int32_t count, double decay);

#ifdef __cplusplus
}
#endif
