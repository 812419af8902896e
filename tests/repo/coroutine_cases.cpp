// What tools/coroutine_rule must find (lines that say so) and must leave alone. Compiled by
// the rule only.
#include <coroutine>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace {

template <typename T>
struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(T) {}
    void unhandled_exception() { std::terminate(); }
  };
  bool await_ready() { return true; }
  void await_suspend(std::coroutine_handle<>) {}
  T await_resume() { return {}; }
};

struct Options {
  std::string name;
  std::string other;
};
struct Named {
  explicit Named(std::string text) : text(std::move(text)) {}
  std::string text;
};

Task<std::string> with_options(Options options) {
  co_return options.name;
}
Task<std::string> with_vector(std::vector<std::string> items) {
  co_return items.front();
}
template <typename F>
Task<std::string> with_function(F function) {
  co_return function();
}
Task<std::string> with_named(Named named) {
  co_return named.text;
}
Task<std::pair<std::string, int>> a_pair() {
  co_return std::pair<std::string, int>{};
}

[[maybe_unused]] Task<int> bad_statements(bool is_first) {
  const std::string text = "text";
  std::string a = co_await with_options({.name = text, .other = {}});               // bad
  std::string b = co_await with_options(Options{text, text});                       // bad
  std::string c = co_await with_function([text] { return text; });                  // bad
  std::string d = co_await with_named(Named(is_first ? text : std::string("no")));  // bad
  std::string e = co_await with_vector({text, text});                               // bad
  auto [f, g] = co_await a_pair();                                                  // bad
  co_return static_cast<int>(a.size() + b.size() + c.size() + d.size() + e.size() + f.size()) + g;
}

[[maybe_unused]] Task<int> good_statements(bool is_first) {
  const std::string text = "text";
  Options options{.name = text, .other = text};
  std::string a = co_await with_options(std::move(options));
  std::string b = co_await with_named(Named(text));
  auto function = [&text] { return text; };
  std::string c = co_await with_function(function);
  const std::string chosen = is_first ? text : std::string("no");
  std::string d = co_await with_named(Named(chosen));
  std::vector<std::string> items{text, text};
  std::string e = co_await with_vector(items);
  const auto pair = co_await a_pair();
  co_return static_cast<int>(a.size() + b.size() + c.size() + d.size() + e.size()) + pair.second;
}

}  // namespace
