// TorchScript: trace a module made of named tensors, optimise, run, save, load.
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/script.h>

#include <sstream>

#include "errors.h"
#include "graft_torch.h"
#include "script.h"

using graft::guarded;
using graft::Script;
using torch::jit::Module;

namespace {

// "features.0.weight" is registered in the submodule "features", its submodule "0".
Module& descend(Module& root, std::map<std::string, Module>& made, const std::string& path,
                const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  if (path.empty()) return root;
  auto found = made.find(path);
  if (found != made.end()) return found->second;
  auto dot = path.rfind('.');
  auto parent_path = dot == std::string::npos ? "" : path.substr(0, dot);
  auto leaf = dot == std::string::npos ? path : path.substr(dot + 1);
  Module& parent = descend(root, made, parent_path, unit);
  Module child(c10::QualifiedName("__torch__.graft.Part"), unit, true);
  child.register_attribute("training", c10::BoolType::get(), false);
  parent.register_module(leaf, child);
  return made.emplace(path, child).first->second;
}

}  // namespace

// The callback fills results with n_results tensors (which this side then owns); non-zero means that it threw.
using Traced = int (*)(void** inputs, int n_inputs, void** results, int* n_results);

GT_API int gt_trace(const char** names, void** tensors, const int* is_buffer, int n_tensors, void** inputs, int n_inputs,
                    Traced forward, void** result) {
  return guarded([&] {
    auto unit = std::make_shared<torch::jit::CompilationUnit>();
    Module root(c10::QualifiedName("__torch__.graft.Model"), unit, false);
    // Without this attribute optimize_for_inference skips the freezing and folds nothing.
    root.register_attribute("training", c10::BoolType::get(), false);
    std::map<std::string, Module> made;
    for (int k = 0; k < n_tensors; k++) {
      std::string name(names[k]);
      auto dot = name.rfind('.');
      auto path = dot == std::string::npos ? "" : name.substr(0, dot);
      auto leaf = dot == std::string::npos ? name : name.substr(dot + 1);
      auto& tensor = *static_cast<at::Tensor*>(tensors[k]);
      Module& owner = descend(root, made, path, unit);
      if (is_buffer[k]) owner.register_buffer(leaf, tensor);
      else owner.register_parameter(leaf, tensor, false);
    }
    torch::jit::Stack stack;
    for (int k = 0; k < n_inputs; k++) stack.push_back(*static_cast<at::Tensor*>(inputs[k]));
    auto run = [&](torch::jit::Stack given) {
      std::vector<at::Tensor> kept;
      for (auto& value : given) kept.push_back(value.toTensor());
      std::vector<void*> handles;
      for (auto& tensor : kept) handles.push_back(new at::Tensor(tensor));
      void* outputs[16] = {};
      int n_outputs = 16;
      int failed = forward(handles.data(), static_cast<int>(handles.size()), outputs, &n_outputs);
      TORCH_CHECK(!failed, "the traced function failed");
      std::vector<c10::IValue> values;
      for (int k = 0; k < n_outputs; k++) {
        values.emplace_back(*static_cast<at::Tensor*>(outputs[k]));
        delete static_cast<at::Tensor*>(outputs[k]);
      }
      torch::jit::Stack back;
      if (values.size() == 1) back.push_back(values[0]);
      else back.push_back(c10::ivalue::Tuple::create(values));
      return back;
    };
    auto traced = torch::jit::tracer::trace(
        stack, run, [](const at::Tensor&) { return std::string(); }, /*strict=*/false, /*force_outplace=*/false, &root);
    auto method = unit->create_function(c10::QualifiedName(*root.type()->name(), "forward"), traced.first->graph);
    root.type()->addMethod(method);
    *result = new Script{root};
  });
}

// What is made until gt_trace_resume is not recorded: a traced function that uses it has it as a constant.
GT_API void* gt_trace_suspend() {
  auto state = torch::jit::tracer::getTracingState();
  if (!state) return nullptr;
  torch::jit::tracer::setTracingState(nullptr);
  return new std::shared_ptr<torch::jit::tracer::TracingState>(state);
}

GT_API void gt_trace_resume(void* state) {
  auto* kept = static_cast<std::shared_ptr<torch::jit::tracer::TracingState>*>(state);
  if (!kept) return;
  torch::jit::tracer::setTracingState(*kept);
  delete kept;
}

GT_API int gt_script_optimize(void* script, void** result) {
  return guarded([&] {
    auto copy = static_cast<Script*>(script)->module.clone();
    *result = new Script{torch::jit::optimize_for_inference(copy)};
  });
}

GT_API int gt_script_run(void* script, void** inputs, int n_inputs, void** results, int* n_results) {
  return guarded([&] {
    std::vector<c10::IValue> stack;
    for (int k = 0; k < n_inputs; k++) stack.emplace_back(*static_cast<at::Tensor*>(inputs[k]));
    auto value = static_cast<Script*>(script)->module.forward(std::move(stack));
    std::vector<at::Tensor> tensors;
    if (value.isTensor()) tensors.push_back(value.toTensor());
    else if (value.isTensorList()) tensors = value.toTensorVector();
    else if (value.isTuple())
      for (const auto& item : value.toTupleRef().elements()) tensors.push_back(item.toTensor());
    else TORCH_CHECK(false, "the archive's forward gives ", value.tagKind(), ", not tensors");
    TORCH_CHECK(static_cast<int>(tensors.size()) <= *n_results, "more results than room");
    *n_results = static_cast<int>(tensors.size());
    for (size_t k = 0; k < tensors.size(); k++) results[k] = new at::Tensor(tensors[k]);
  });
}

// With one more entry, extra/<name>, unless name is null.
GT_API int gt_script_save(void* script, const char* path, const char* name, const char* text) {
  return guarded([&] {
    torch::jit::ExtraFilesMap extra;
    if (name) extra.emplace(name, text);
    static_cast<Script*>(script)->module.save(path, extra);
  });
}

GT_API int gt_script_load(const char* path, void** result) {
  return guarded([&] {
    auto module = torch::jit::load(path);
    module.eval();
    *result = new Script{module};
  });
}

// The archive's parameters, then its buffers: names one a line (for gt_free), tensors in the same order.
GT_API int gt_script_state(void* script, char** names, void*** tensors, int* n, int* n_parameters) {
  return guarded([&] {
    std::string text;
    std::vector<at::Tensor> found;
    auto& module = static_cast<Script*>(script)->module;
    for (const auto& item : module.named_parameters()) text += item.name + "\n", found.push_back(item.value);
    *n_parameters = static_cast<int>(found.size());
    for (const auto& item : module.named_buffers()) text += item.name + "\n", found.push_back(item.value);
    *n = static_cast<int>(found.size());
    *tensors = static_cast<void**>(std::malloc(sizeof(void*) * (found.size() + 1)));
    for (size_t k = 0; k < found.size(); k++) (*tensors)[k] = new at::Tensor(found[k]);
    *names = strdup(text.c_str());
  });
}

GT_API void gt_script_free(void* script) { delete static_cast<Script*>(script); }
