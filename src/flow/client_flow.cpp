#include "flow/client_flow.h"

#include "flow/datagram_frames.h"
#include "peer/flow_codes.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace culvert::flow {
namespace {

// The reply at the head of the stream; consumed when it is complete.
Decoded<session::FlowReply> take_reply(session::Dialect dialect, buffers::ByteStream& stream) {
  std::array<ByteView, buffers::kChunksOf64KiB> views;
  const std::size_t count = stream.input.views(views);
  Bytes joined;
  ByteView first = count == 0 ? ByteView{} : views[0];
  if (count > 1) {
    for (const ByteView& view : std::span(views).first(count)) {
      joined.insert(joined.end(), view.begin(), view.end());
    }
    first = joined;
  }
  auto head = session::decode_flow_reply(dialect, first);
  if (!head) {
    const bool may_continue = head.error() == DecodeError::truncated && !stream.is_fin_received &&
                              !stream.is_reset_received &&
                              stream.input.size() < session::kMaxHeadBytes;
    return std::unexpected(may_continue || head.error() != DecodeError::truncated
                               ? head.error()
                               : DecodeError::malformed);
  }
  stream.consume(head->size);
  return std::move(head->value);
}

}  // namespace

std::string refusal_text(const session::FlowRefused& refused) {
  return fmt::format("{} ({})", to_string(refused.code), refused.reason);
}

void refuse_local(StreamPort& port, const ClientStreamFlowOptions& options, std::string_view why) {
  if (!options.on_reply) {
    port.reset();
    return;
  }
  const Bytes answer = options.on_reply(
      session::FlowRefused{.code = session::RefusalCode::limit, .reason = std::string(why)});
  const std::array<ByteView, 1> views{answer};
  static_cast<void>(port.try_write(views));  // a few bytes into an empty socket buffer
  port.shutdown_write();
}

// --- TCP, Unix sockets, stdio ----------------------------------------------------------------

ClientStreamFlow::ClientStreamFlow(Instant now, peer::ClientSession& session, quic::Stream& stream,
                                   std::unique_ptr<StreamPort> port,
                                   ClientStreamFlowOptions options)
    : session_(session),
      options_(std::move(options)),
      stream_(&session.begin_flow(
          now, stream,
          {.source = options_.source,
           .multipath = options_.multipath.value_or(session.context().config.policy.multipath)})),
      membership_(options_.group, *this),
      pump_(session.context().worker, *stream_, membership_.traffic_or(session.context().traffic),
            *this) {
  stream_->context = static_cast<peer::StreamUser*>(this);
  pump_.attach(std::move(port));
}

void ClientStreamFlow::on_quic_readable(Instant now) {
  if (!has_reply_ && !read_reply(now)) return;
  pump_.on_quic_readable();
}

bool ClientStreamFlow::read_reply(Instant now) {
  auto reply = take_reply(session_.dialect(), *stream_);
  if (!reply) {
    if (reply.error() != DecodeError::truncated) {
      Error error = broken(fmt::format("the server's reply is {}", to_string(reply.error())));
      session_.context().worker.warnings().warn(now, error.text());
      pump_.abort(peer::kProtocolError);
      leave(now, std::move(error));
    }
    return false;
  }
  has_reply_ = true;
  membership_.on_reply(*reply);
  if (options_.on_reply) {
    const Bytes ahead = options_.on_reply(*reply);
    if (!ahead.empty() && !pump_.write_ahead(ahead)) {
      pump_.abort(peer::kReset);
      leave(now, broken("the answer could not be written"));
      return false;
    }
  }
  if (const auto* refused = std::get_if<session::FlowRefused>(&*reply)) {
    on_refused(now, *refused);
    return false;
  }
  const auto& accepted = std::get<session::FlowAccepted>(*reply);
  // A server of mf/4 does not say where.
  session_.context().worker.log().debug("flow", "{} reached{}{}", options_.source,
                                        accepted.dialled.empty() ? "" : " at ", accepted.dialled);
  pump_.open_downstream();
  return true;
}

void ClientStreamFlow::on_refused(Instant now, const session::FlowRefused& refused) {
  ++session_.context().stats.flows_refused;
  Error error{ErrorKind::refused, refusal_text(refused), options_.source};
  // Whoever asks for the end hears it there.
  if (!options_.on_end) session_.context().worker.warnings().warn(now, error.text());
  tell(session_.context().config.events, [&] {
    return peer::RoleEvent{.kind = peer::RoleEventKind::flow_refused,
                           .detail = options_.source + ": " + refused.reason};
  });
  if (options_.on_reply) {
    pump_.close_politely();  // the SOCKS answer must arrive: a reset could overtake it
  } else {
    pump_.abort(peer::kNone);
  }
  leave(now, std::move(error));
}

void ClientStreamFlow::on_quic_writable(Instant now) {
  pump_.on_quic_writable(now);
}

void ClientStreamFlow::on_quic_reset(Instant now, std::uint64_t) {
  pump_.deliver_rest();  // what the source said before
  pump_.abort(peer::kReset);
  leave(now, broken("the connection was reset at the other end"));
}

void ClientStreamFlow::on_quic_stop_sending(Instant now, std::uint64_t) {
  if (!has_reply_) {
    pump_.stop_upstream();  // a refusal: its reason is on the way
    return;
  }
  if (stream_->is_fin_received) {
    pump_.end_upstream(now);  // the source ended in order, and reads no more
    return;
  }
  pump_.abort(peer::kReset);
  leave(now, broken("the connection was closed at the other end"));
}

void ClientStreamFlow::on_resumed(Instant now, quic::Stream& stream) {
  stream_ = &stream;
  pump_.on_resumed(now, stream);
}

void ClientStreamFlow::on_quic_closed(Instant now) {
  const bool is_whole = pump_.on_quic_closed();
  stream_ = nullptr;
  std::optional<Error> error;
  if (!is_whole) error = broken("the connection to the server ended");
  if (options_.on_end) std::exchange(options_.on_end, nullptr)(now, error);
}

Error ClientStreamFlow::broken(std::string what) const {
  return {ErrorKind::lost, std::move(what), options_.source};
}

void ClientStreamFlow::on_pump_finished(Instant now) {
  leave(now, std::nullopt);
}
void ClientStreamFlow::on_pump_broken(Instant now) {
  leave(now, broken("this end was closed before all had been written to it"));
}

void ClientStreamFlow::end_with_tunnel(Instant now) {
  if (stream_ == nullptr) return;
  pump_.abort(peer::kReset);
  leave(now, broken("the tunnel was taken away"));
}

void ClientStreamFlow::leave(Instant now, const std::optional<Error>& error) {
  if (stream_ == nullptr) return;
  if (stream_->is_end_untold) session_.announce_gone(stream_->flow_id);
  stream_->context = nullptr;
  stream_ = nullptr;
  if (options_.on_end) std::exchange(options_.on_end, nullptr)(now, error);
  session_.core().retire(now, *this);
}

// --- UDP -------------------------------------------------------------------------------------

ClientUdpFlow::ClientUdpFlow(Instant now, peer::ClientSession& session, quic::Stream& stream,
                             ClientUdpFlowOptions options, UdpReplyHandler& handler)
    : session_(session),
      stream_(&stream),
      id_(options.id),
      source_(std::move(options.source)),
      mode_(session.takes_multipath() ? options.multipath : Multipath::fastest),
      handler_(&handler) {
  stream.context = static_cast<peer::StreamUser*>(this);
  stream.owner->carry_messages(stream);
  session.begin_flow(now, stream, {.source = source_, .flow_id = id_, .multipath = mode_});
  session_.core().add_datagram_user(id_, *this);  // datagrams may overtake the server's reply
}

void ClientUdpFlow::send(ByteView payload) {
  if (stream_ == nullptr) return;
  session_.context().traffic.to_stream += payload.size();
  if (is_accepted_ && session_.dialect() == session::Dialect::culvert_1 &&
      session_.core().send_datagram(mode_, copies_.header(id_, mode_).view(), payload)) {
    return;
  }
  if (!append_datagram_frame(*stream_, payload)) {
    ++session_.context().stats.udp_dropped;
  }
}

void ClientUdpFlow::on_quic_readable(Instant now) {
  if (!is_accepted_) {
    auto reply = take_reply(session_.dialect(), *stream_);
    if (!reply) {
      if (reply.error() != DecodeError::truncated) end(now, std::string(to_string(reply.error())));
      return;
    }
    if (handler_ != nullptr) handler_->on_udp_flow_reply(*reply);
    if (const auto* refused = std::get_if<session::FlowRefused>(&*reply)) {
      ++session_.context().stats.flows_refused;
      session_.context().worker.warnings().warn(
          now, fmt::format("{}: {}", source_, refusal_text(*refused)));
      tell(session_.context().config.events, [&] {
        return peer::RoleEvent{.kind = peer::RoleEventKind::flow_refused,
                               .detail = source_ + ": " + refused->reason};
      });
      end(now, refused->reason);
      return;
    }
    is_accepted_ = true;
  }
  take_datagram_frames(*stream_, [&](ByteView payload) { deliver(now, payload); });
  if (stream_ != nullptr && stream_->is_fin_received) end(now, "ended by the server");
}

void ClientUdpFlow::on_datagram(Instant now, ByteView payload) {
  if (const auto first = copies_.first(payload, mode_)) deliver(now, *first);
}

void ClientUdpFlow::deliver(Instant now, ByteView payload) {
  session_.context().traffic.from_stream += payload.size();
  if (handler_ != nullptr) handler_->on_udp_reply(now, *this, payload);
}

void ClientUdpFlow::on_quic_reset(Instant now, std::uint64_t) {
  end(now, "reset by the server");
}

void ClientUdpFlow::on_quic_stop_sending(Instant now, std::uint64_t) {
  if (is_accepted_) end(now, "ended by the server");
}

void ClientUdpFlow::on_quic_closed(Instant now) {
  session_.core().remove_datagram_user(id_);
  stream_ = nullptr;
  if (handler_ != nullptr) {
    std::exchange(handler_, nullptr)->on_udp_flow_ended(now, *this, "the connection ended");
  }
}

void ClientUdpFlow::finish(Instant now) {
  handler_ = nullptr;
  leave(now);
}

void ClientUdpFlow::end(Instant now, const std::string& reason) {
  if (handler_ != nullptr) std::exchange(handler_, nullptr)->on_udp_flow_ended(now, *this, reason);
  leave(now);
}

void ClientUdpFlow::leave(Instant now) {
  if (stream_ == nullptr) return;
  session_.core().remove_datagram_user(id_);
  stream_->finish();
  stream_->stop_sending(peer::kNone);
  stream_->context = nullptr;
  stream_ = nullptr;
  session_.core().retire(now, *this);
}

}  // namespace culvert::flow
