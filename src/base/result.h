// Errors as values: everything a peer, a user, a file or the network can cause.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace culvert {

// Decides the exit code (cli/exit_code.h) and whether a retry makes sense.
enum class ErrorKind : std::uint8_t {
  configuration,   // flag, environment, file or key is wrong: retrying cannot help (exit 2)
  authentication,  // the peer refused our proof, or we refused theirs (exit 3)
  unreachable,     // could not be established: no answer, no route, timeout (exit 10)
  lost,            // worked, then was lost (exit 11)
  not_found,       // there is nothing of that name
  refused,         // the other side understood and said no (source not allowed, limit)
  protocol,        // the peer broke the protocol
  io,              // the operating system refused (file, socket, permission)
  limit,           // one of our own bounds was reached
  cancelled,       // we are shutting down: never logged as an error
  internal,        // our bug
};
[[nodiscard]] std::string_view to_string(ErrorKind kind);

// What happened, to which thing, and what to do about it: `what` reads as a
// sentence for a user. `offender` is the flag, file:line, key or address at fault.
struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::internal;
  std::string what;
  std::string offender;

  // "offender: what", or just `what` when there is no offender.
  [[nodiscard]] std::string text() const;
  // The same error, with "context: " before `what`.
  [[nodiscard]] Error in(std::string_view context) &&;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string what,
                                                 std::string offender = {}) {
  return std::unexpected(Error{kind, std::move(what), std::move(offender)});
}

// Hands an error on to a function with another result type.
template <typename T, typename E>
[[nodiscard]] std::unexpected<E> forward(std::expected<T, E>& failed) {
  return std::unexpected<E>(std::move(failed).error());
}
template <typename T, typename E>
[[nodiscard]] std::unexpected<E> forward(std::expected<T, E>&& failed) {
  return std::unexpected<E>(std::move(failed).error());
}

}  // namespace culvert

#define CULVERT_CONCAT_INNER(a, b) a##b
#define CULVERT_CONCAT(a, b) CULVERT_CONCAT_INNER(a, b)

// CULVERT_CHECK(expression);   returns the error of a Status, or goes on.
#define CULVERT_CHECK(expression)                                                \
  do {                                                                           \
    auto culvert_checked = (expression);                                         \
    if (!culvert_checked) return ::culvert::forward(std::move(culvert_checked)); \
  } while (false)

// CULVERT_TRY(auto x, expression);   declares x from a Result, or returns its error.
#define CULVERT_TRY(declaration, expression) \
  CULVERT_TRY_INNER(CULVERT_CONCAT(culvert_try_, __LINE__), declaration, expression)
#define CULVERT_TRY_INNER(temporary, declaration, expression)      \
  auto temporary = (expression);                                   \
  if (!temporary) return ::culvert::forward(std::move(temporary)); \
  declaration = std::move(*temporary)
