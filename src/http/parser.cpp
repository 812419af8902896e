#include "http/parser.h"

#include <boost/asio/buffer.hpp>  // purity: a pointer and a length
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace culvert::http {

namespace beast = boost::beast::http;

namespace {

std::vector<Header> headers_of(const beast::fields& fields) {
  std::vector<Header> headers;
  for (const auto& field : fields) {
    headers.push_back({std::string(field.name_string().data(), field.name_string().size()),
                       std::string(field.value().data(), field.value().size())});
  }
  return headers;
}

}  // namespace

struct RequestParser::Beast {
  explicit Beast(const MessageBounds& bounds) {
    parser.header_limit(static_cast<std::uint32_t>(bounds.head_bytes));
    parser.body_limit(bounds.body_bytes);
    parser.eager(true);
  }
  beast::request_parser<beast::string_body> parser;
};

RequestParser::RequestParser(const MessageBounds& bounds)
    : bounds_(bounds), beast_(std::make_unique<Beast>(bounds)) {}
RequestParser::~RequestParser() = default;

void RequestParser::add(ByteView bytes) {
  if (!error_) buffer_.append(as_text(bytes));
}

std::optional<Request> RequestParser::next() {
  if (error_ || buffer_.empty()) return std::nullopt;
  auto& parser = beast_->parser;
  boost::system::error_code failed;
  const std::size_t used =
      parser.put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), failed);
  buffer_.erase(0, used);
  if (failed == beast::error::need_more) return std::nullopt;
  if (failed) {
    const int status =
        failed == beast::error::header_limit || failed == beast::error::buffer_overflow ? 431
        : failed == beast::error::body_limit                                            ? 413
                                                                                        : 400;
    error_ = ParseFailure{status, failed.message()};
    return std::nullopt;
  }
  if (!parser.is_done()) return std::nullopt;
  const auto hosts = parser.get().equal_range(beast::field::host);
  if (std::distance(hosts.first, hosts.second) > 1) {  // RFC 9112 3.2
    error_ = ParseFailure{400, "more than one Host"};
    return std::nullopt;
  }
  auto message = parser.release();
  const std::string_view target(message.target().data(), message.target().size());
  const std::string_view method(message.method_string().data(), message.method_string().size());
  const std::size_t mark = std::min(target.find('?'), target.size());
  Request request{.method = std::string(method),
                  .path = std::string(target.substr(0, mark)),
                  .query = std::string(target.substr(std::min(mark + 1, target.size()))),
                  .headers = headers_of(message),
                  .body = std::move(message.body()),
                  .keeps_alive = message.keep_alive()};
  if (const auto found = message.find(beast::field::host); found != message.end()) {
    request.host.emplace(found->value().data(), found->value().size());
  }
  beast_ = std::make_unique<Beast>(bounds_);
  return request;
}

bool RequestParser::is_within_request() const {
  return !error_ && (!buffer_.empty() || beast_->parser.got_some());
}

// --- replies -------------------------------------------------------------------------------

struct ReplyParser::Beast {
  beast::response_parser<beast::string_body> parser;
};

ReplyParser::ReplyParser(const MessageBounds& bounds, bool has_no_body)
    : bounds_(bounds), has_no_body_(has_no_body) {
  restart();
}
ReplyParser::~ReplyParser() = default;

void ReplyParser::restart() {
  beast_ = std::make_unique<Beast>();
  beast_->parser.header_limit(static_cast<std::uint32_t>(bounds_.head_bytes));
  beast_->parser.body_limit(bounds_.body_bytes);
  beast_->parser.eager(true);
  beast_->parser.skip(has_no_body_);
}

void ReplyParser::add(ByteView bytes) {
  if (error_) return;
  buffer_.append(as_text(bytes));
  has_begun_ = has_begun_ || !bytes.empty();
}

void ReplyParser::add_end() {
  has_ended_ = true;
}

std::optional<Reply> ReplyParser::next() {
  for (;;) {
    if (error_) return std::nullopt;
    auto& parser = beast_->parser;
    boost::system::error_code failed;
    if (!buffer_.empty()) {
      const std::size_t used =
          parser.put(boost::asio::const_buffer(buffer_.data(), buffer_.size()), failed);
      buffer_.erase(0, used);
    }
    if (failed == beast::error::need_more) failed.clear();
    if (!failed && has_ended_ && !parser.is_done()) {
      if (parser.got_some()) {
        parser.put_eof(failed);
      } else {
        failed = beast::error::end_of_stream;  // Beast would take no reply for a whole one
      }
    }
    if (failed) {
      error_ = failed.message();
      return std::nullopt;
    }
    if (!parser.is_done()) return std::nullopt;
    const int status = parser.get().result_int();
    if (status >= 200 || status == 101) break;
    restart();
    if (buffer_.empty() && !has_ended_) return std::nullopt;
  }
  auto message = beast_->parser.release();
  Reply reply{.status = static_cast<int>(message.result_int()),
              .headers = headers_of(message),
              .body = std::move(message.body()),
              .keeps_alive = message.keep_alive() && !has_ended_};
  restart();
  return reply;
}

}  // namespace culvert::http
