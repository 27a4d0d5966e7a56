// Operators by name, through c10's dispatcher, with boxed arguments.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/torch.h>

#include <cstring>

#include "errors.h"
#include "graft_torch.h"

using graft::guarded;

namespace {

c10::TypePtr unwrap_optional(c10::TypePtr type) {
  if (auto optional = type->cast<c10::OptionalType>()) return optional->getElementType();
  return type;
}

bool is_list_of(const c10::TypePtr& type, c10::TypeKind element) {
  auto list = type->cast<c10::ListType>();
  return list && list->getElementType()->kind() == element;
}

at::Tensor tensor_of(void* p) { return p ? *static_cast<at::Tensor*>(p) : at::Tensor(); }

c10::Device device_of(int64_t code) {
  return c10::Device(static_cast<c10::DeviceType>(code >> 8), static_cast<c10::DeviceIndex>((code & 0xff) - 1));
}

c10::IValue to_ivalue(const GtValue& value, const c10::Argument& argument) {
  auto type = unwrap_optional(argument.type());
  auto kind = type->kind();
  switch (value.tag) {
    case GT_NONE:
      return c10::IValue();
    case GT_DEFAULT:
      TORCH_CHECK(argument.default_value().has_value(), "argument '", argument.name(), "' is missing and has no default");
      return *argument.default_value();
    case GT_TENSOR:
      return tensor_of(value.p);
    case GT_INT:
      if (kind == c10::TypeKind::FloatType) return static_cast<double>(value.i);
      if (kind == c10::TypeKind::BoolType) return value.i != 0;
      if (is_list_of(type, c10::TypeKind::IntType)) return c10::List<int64_t>({value.i});
      return value.i;
    case GT_DOUBLE:
      return value.d;
    case GT_BOOL:
      return value.i != 0;
    case GT_STRING:
      return std::string(static_cast<const char*>(value.p), value.n);
    case GT_DEVICE:
      return device_of(value.i);
    case GT_INT_LIST: {
      auto* items = static_cast<const int64_t*>(value.p);
      if (is_list_of(type, c10::TypeKind::FloatType)) {
        c10::List<double> list;
        for (int k = 0; k < value.n; k++) list.push_back(static_cast<double>(items[k]));
        return list;
      }
      c10::List<int64_t> list;
      list.reserve(value.n);
      for (int k = 0; k < value.n; k++) list.push_back(items[k]);
      return list;
    }
    case GT_DOUBLE_LIST: {
      auto* items = static_cast<const double*>(value.p);
      if (is_list_of(type, c10::TypeKind::NumberType)) {
        c10::List<at::Scalar> list;
        for (int k = 0; k < value.n; k++) list.push_back(items[k]);
        return c10::IValue(list);
      }
      c10::List<double> list;
      for (int k = 0; k < value.n; k++) list.push_back(items[k]);
      return list;
    }
    case GT_BOOL_LIST: {
      auto* items = static_cast<const int64_t*>(value.p);
      c10::List<bool> list;
      for (int k = 0; k < value.n; k++) list.push_back(items[k] != 0);
      return list;
    }
    case GT_TENSOR_LIST: {
      auto** items = static_cast<void**>(value.p);
      if (is_list_of(type, c10::TypeKind::OptionalType)) {
        c10::List<c10::optional<at::Tensor>> list;
        for (int k = 0; k < value.n; k++)
          list.push_back(items[k] ? c10::optional<at::Tensor>(tensor_of(items[k])) : c10::nullopt);
        return list;
      }
      c10::List<at::Tensor> list;
      list.reserve(value.n);
      for (int k = 0; k < value.n; k++) list.push_back(tensor_of(items[k]));
      return list;
    }
  }
  TORCH_CHECK(false, "argument '", argument.name(), "' has an unknown tag ", value.tag);
}

void* new_tensor(const at::Tensor& tensor) { return tensor.defined() ? new at::Tensor(tensor) : nullptr; }

GtValue from_ivalue(const c10::IValue& value) {
  GtValue out{GT_NONE, 0, {0}};
  if (value.isNone()) return out;
  if (value.isTensor()) {
    out.tag = GT_TENSOR;
    out.p = new_tensor(value.toTensor());
  } else if (value.isInt()) {
    out.tag = GT_INT;
    out.i = value.toInt();
  } else if (value.isDouble()) {
    out.tag = GT_DOUBLE;
    out.d = value.toDouble();
  } else if (value.isBool()) {
    out.tag = GT_BOOL;
    out.i = value.toBool();
  } else if (value.isTensorList()) {
    auto list = value.toTensorVector();
    auto** items = static_cast<void**>(std::malloc(sizeof(void*) * (list.size() + 1)));
    for (size_t k = 0; k < list.size(); k++) items[k] = new_tensor(list[k]);
    out.tag = GT_TENSOR_LIST;
    out.n = static_cast<int32_t>(list.size());
    out.p = items;
  } else if (value.isIntList()) {
    auto list = value.toIntVector();
    auto* items = static_cast<int64_t*>(std::malloc(sizeof(int64_t) * (list.size() + 1)));
    std::memcpy(items, list.data(), sizeof(int64_t) * list.size());
    out.tag = GT_INT_LIST;
    out.n = static_cast<int32_t>(list.size());
    out.p = items;
  } else if (value.isScalar()) {
    out.tag = GT_DOUBLE;
    out.d = value.toScalar().toDouble();
  } else {
    TORCH_CHECK(false, "a result of type ", value.tagKind(), " cannot be handed out");
  }
  return out;
}

}  // namespace

GT_API const char* gt_error() { return graft::last_error().c_str(); }
GT_API void gt_free(void* memory) { std::free(memory); }
GT_API const char* gt_version() { return TORCH_VERSION; }

// A handle for the operator, or null where this libtorch has none of that name. Handles live as long as the process.
GT_API void* gt_operator(const char* name, const char* overload) {
  void* found = nullptr;
  guarded([&] {
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (handle) found = new c10::OperatorHandle(*handle);
  });
  return found;
}

// The operator's schema as text, for gt_free.
GT_API char* gt_schema(void* op) {
  return strdup(c10::toString(static_cast<c10::OperatorHandle*>(op)->schema()).c_str());
}

// Arguments by position; those left off take the schema's defaults. *n_results: room in, count out.
GT_API int gt_call(void* op, const GtValue* arguments, int n_arguments, GtValue* results, int* n_results) {
  return guarded([&] {
    auto& handle = *static_cast<c10::OperatorHandle*>(op);
    const auto& schema = handle.schema();
    const auto& wanted = schema.arguments();
    TORCH_CHECK(n_arguments <= static_cast<int>(wanted.size()), "takes ", wanted.size(), " arguments, ", n_arguments, " given");
    torch::jit::Stack stack;
    stack.reserve(wanted.size());
    const GtValue absent{GT_DEFAULT, 0, {0}};
    for (size_t k = 0; k < wanted.size(); k++)
      stack.push_back(to_ivalue(static_cast<int>(k) < n_arguments ? arguments[k] : absent, wanted[k]));
    handle.callBoxed(&stack);
    TORCH_CHECK(static_cast<int>(stack.size()) <= *n_results, "more results than room");
    *n_results = static_cast<int>(stack.size());
    for (size_t k = 0; k < stack.size(); k++) results[k] = from_ivalue(stack[k]);
  });
}
