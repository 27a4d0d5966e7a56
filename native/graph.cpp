// TorchScript's graph, handed out as JSON: what an archive or a trace computes, operator by operator.
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/lower_tuples.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/script.h>

#include <cmath>
#include <cstring>
#include <sstream>

#include "errors.h"
#include "graft_torch.h"
#include "script.h"

using graft::guarded;
namespace jit = torch::jit;

namespace {

void quote(std::ostream& out, const std::string& text) {
  out << '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') out << '\\' << c;
    else if (c < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out << code;
    } else out << c;
  }
  out << '"';
}

void number(std::ostream& out, double value) {
  if (std::isnan(value)) out << "\"NaN\"";
  else if (std::isinf(value)) out << (value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  else out << value;
}

template <class List, class Write>
void list(std::ostream& out, const List& items, Write write) {
  out << '[';
  bool first = true;
  for (const auto& item : items) {
    if (!first) out << ',';
    first = false;
    write(item);
  }
  out << ']';
}

struct Writer {
  std::ostringstream out;
  std::vector<at::Tensor> tensors;

  Writer() { out.precision(17); }

  void constant(const c10::IValue& value) {
    if (value.isNone()) out << "{\"none\":true}";
    else if (value.isTensor()) {
      out << "{\"tensor\":" << tensors.size() << '}';
      tensors.push_back(value.toTensor());
    } else if (value.isInt()) out << "{\"int\":" << value.toInt() << '}';
    else if (value.isDouble()) out << "{\"float\":", number(out, value.toDouble()), out << '}';
    else if (value.isBool()) out << "{\"bool\":" << (value.toBool() ? "true" : "false") << '}';
    else if (value.isString()) out << "{\"string\":", quote(out, value.toStringRef()), out << '}';
    else if (value.isDevice()) out << "{\"none\":true}";
    else if (value.isList()) {
      out << "{\"list\":";
      list(out, value.toListRef(), [&](const c10::IValue& item) { constant(item); });
      out << '}';
    } else if (value.isTuple()) {
      out << "{\"list\":";
      list(out, value.toTupleRef().elements(), [&](const c10::IValue& item) { constant(item); });
      out << '}';
    } else out << "{\"other\":", quote(out, value.tagKind()), out << '}';
  }

  void names(c10::ArrayRef<const jit::Value*> values) {
    list(out, values, [&](const jit::Value* value) { quote(out, value->debugName()); });
  }

  void node(const jit::Node* node) {
    out << "{\"kind\":", quote(out, node->kind().toQualString());
    if (const auto* schema = node->maybeSchema())
      if (!schema->overload_name().empty()) out << ",\"overload\":", quote(out, schema->overload_name());
    if (node->kind() == c10::prim::GetAttr) out << ",\"name\":", quote(out, node->s(c10::attr::name));
    if (node->kind() == c10::prim::Constant) out << ",\"value\":", constant(jit::toIValue(node->output()).value_or(c10::IValue()));
    out << ",\"in\":", names(node->inputs());
    out << ",\"out\":", names(node->outputs());
    if (!node->blocks().empty()) {
      out << ",\"blocks\":";
      list(out, node->blocks(), [&](const jit::Block* block) {
        out << "{\"outputs\":", names(block->outputs());
        out << ",\"nodes\":";
        list(out, block->nodes(), [&](const jit::Node* found) { this->node(found); });
        out << '}';
      });
    }
    out << '}';
  }

  void graph(const jit::Graph& graph) {
    out << "{\"inputs\":", names(graph.inputs());
    out << ",\"outputs\":", names(graph.outputs());
    out << ",\"nodes\":";
    list(out, graph.nodes(), [&](const jit::Node* found) { node(found); });
    out << '}';
  }
};

}  // namespace

// The graph of forward, with every call inlined and what only training needs resolved; parameters stay attributes. Text is for
// gt_free; the constants that are tensors come beside it, by number.
GT_API int gt_script_graph(void* script, char** text, void*** tensors, int* n) {
  return guarded([&] {
    // Both a trace and a loaded archive are in inference mode; freezing works on a copy that shares the tensors.
    auto module = jit::freeze_module(static_cast<graft::Script*>(script)->module, {}, /*freezeInterfaces=*/true, /*preserveParameters=*/true);
    auto graph = module.get_method("forward").graph()->copy();
    jit::Inline(*graph);
    // Each pass lets the other see more: whether a parameter is None, then the branch that asked.
    for (int round = 0; round < 3; round++) {
      jit::PeepholeOptimize(graph, /*disable_shape_peepholes=*/true);
      jit::ConstantPropagation(graph);
    }
    jit::LowerSimpleTuples(graph);
    jit::EliminateDeadCode(graph);
    Writer writer;
    writer.graph(*graph);
    *text = strdup(writer.out.str().c_str());
    *n = static_cast<int>(writer.tensors.size());
    *tensors = static_cast<void**>(std::malloc(sizeof(void*) * (writer.tensors.size() + 1)));
    for (size_t k = 0; k < writer.tensors.size(); k++) (*tensors)[k] = new at::Tensor(writer.tensors[k]);
  });
}
