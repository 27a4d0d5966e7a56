// Tensors as handles: what they look like, their memory, autograd, seeds and threads.
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/torch.h>

#include "errors.h"
#include "graft_torch.h"

using graft::guarded;

namespace {

at::Tensor& at_(void* handle) { return *static_cast<at::Tensor*>(handle); }

std::vector<at::Tensor> list(void** handles, int n) {
  std::vector<at::Tensor> out;
  out.reserve(n);
  for (int k = 0; k < n; k++) out.push_back(handles[k] ? at_(handles[k]) : at::Tensor());
  return out;
}

}  // namespace

struct GtMeta {
  int64_t sizes[16];
  int64_t strides[16];
  int64_t bytes;        // of the storage
  int32_t dimensions;
  int32_t type;         // c10::ScalarType
  int32_t device;       // as in GT_DEVICE
  int32_t requires_grad;
  int32_t owns_storage; // the only tensor on its storage
};

GT_API void gt_tensor_free(void* handle) { delete static_cast<at::Tensor*>(handle); }

GT_API int gt_tensor_meta(void* handle, GtMeta* meta) {
  return guarded([&] {
    auto& tensor = at_(handle);
    TORCH_CHECK(tensor.dim() <= 16, "a tensor of more than 16 dimensions");
    meta->dimensions = static_cast<int32_t>(tensor.dim());
    bool strided = tensor.layout() == c10::kStrided;
    for (int k = 0; k < meta->dimensions; k++) {
      meta->sizes[k] = tensor.size(k);
      meta->strides[k] = strided ? tensor.stride(k) : 0;
    }
    meta->type = static_cast<int32_t>(tensor.scalar_type());
    auto device = tensor.device();
    meta->device = static_cast<int32_t>(device.type()) << 8 | (device.index() + 1);
    meta->requires_grad = tensor.requires_grad();
    bool has_storage = strided && tensor.has_storage();
    meta->bytes = has_storage ? static_cast<int64_t>(tensor.storage().nbytes()) : 0;
    meta->owns_storage = has_storage && tensor.storage().use_count() == 1;
  });
}

GT_API void* gt_tensor_data(void* handle) {
  void* data = nullptr;
  guarded([&] { data = at_(handle).data_ptr(); });
  return data;
}

GT_API int gt_tensor_set_requires_grad(void* handle, int on) {
  return guarded([&] { at_(handle).set_requires_grad(on != 0); });
}

GT_API void* gt_tensor_grad(void* handle) {
  auto& grad = at_(handle).mutable_grad();
  return grad.defined() ? new at::Tensor(grad) : nullptr;
}

GT_API int gt_tensor_set_grad(void* handle, void* grad) {
  return guarded([&] { at_(handle).mutable_grad() = grad ? at_(grad) : at::Tensor(); });
}

GT_API int gt_backward(void** roots, void** gradients, int n, int retain_graph, int create_graph) {
  return guarded([&] {
    torch::autograd::backward(list(roots, n), gradients ? list(gradients, n) : std::vector<at::Tensor>(n),
                              retain_graph != 0, create_graph != 0);
  });
}

GT_API int gt_grad(void** outputs, int n_outputs, void** inputs, int n_inputs, void** gradients, int retain_graph,
                   int create_graph, int allow_unused, void** results) {
  return guarded([&] {
    auto found = torch::autograd::grad(list(outputs, n_outputs), list(inputs, n_inputs),
                                       gradients ? list(gradients, n_outputs) : std::vector<at::Tensor>(n_outputs),
                                       retain_graph != 0, create_graph != 0, allow_unused != 0);
    for (int k = 0; k < n_inputs; k++) results[k] = found[k].defined() ? new at::Tensor(found[k]) : nullptr;
  });
}

GT_API int gt_grad_mode(int on) {
  int before = c10::GradMode::is_enabled();
  if (on >= 0) c10::GradMode::set_enabled(on != 0);
  return before;
}

GT_API void* gt_inference_begin() { return new c10::InferenceMode(true); }
GT_API void gt_inference_end(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

GT_API int gt_manual_seed(uint64_t seed) {
  return guarded([&] { torch::manual_seed(seed); });
}
GT_API void gt_set_threads(int n) { at::set_num_threads(n); }
GT_API int gt_threads() { return at::get_num_threads(); }
// OpenBLAS counts its threads for the whole process, whatever libtorch's caller may use. The number before; 0: another BLAS.
GT_API int gt_set_blas_threads(int n) {
  static const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  static const auto get = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_num_threads"));
  if (!set || !get) return 0;
  const int before = get();
  set(n);
  return before;
}
GT_API int gt_cuda_devices() {
  int n = 0;
  guarded([&] { n = at::hasCUDA() ? static_cast<int>(torch::cuda::device_count()) : 0; });
  return n;
}

// A tensor on memory that the caller keeps until release(context) is called, from whatever thread drops the last reference.
GT_API int gt_tensor_on(void* data, int type, const int64_t* sizes, int dimensions, void (*release)(void*), void* context, void** result) {
  return guarded([&] {
    auto options = at::TensorOptions().dtype(static_cast<c10::ScalarType>(type));
    *result = new at::Tensor(at::from_blob(data, at::IntArrayRef(sizes, dimensions), [release, context](void*) { release(context); }, options));
  });
}

// Activations are megabytes that live for microseconds. By default glibc maps and unmaps each one, and the kernel clears
// every page again: half of the time of a forward pass. Memory that was freed is kept for the next layer instead.
__attribute__((constructor)) static void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}
