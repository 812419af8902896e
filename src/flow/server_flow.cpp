#include "flow/server_flow.h"

#include "base/limits.h"
#include "flow/datagram_frames.h"
#include "flow/udp_ingress.h"
#include "peer/flow_codes.h"

#include <fmt/format.h>

#include <array>

namespace culvert::flow {
namespace {

// The beginning of the input in one piece; heads are smaller than 64 KiB.
ByteView first_bytes(const buffers::ByteStream& stream, Bytes& scratch) {
  std::array<ByteView, buffers::kChunksOf64KiB> views;
  const std::size_t count = stream.input.views(views);
  if (count <= 1) return count == 0 ? ByteView{} : views[0];
  for (const ByteView& view : std::span(views).first(count)) {
    scratch.insert(scratch.end(), view.begin(), view.end());
  }
  return scratch;
}

SharedSourcePolicy source_policy(peer::ServerSession& session) {
  const std::shared_ptr<const peer::ServerPolicy>& policy = session.context().policy;
  return {policy, &policy->sources};
}

constexpr std::string_view kNoLongerAllowed = "the server's allow lists changed";

}  // namespace

// --- head ----------------------------------------------------------------------------------

ServerFlowHead::ServerFlowHead(peer::ServerSession& session, quic::Stream& stream)
    : session_(session), stream_(stream) {
  stream.context = static_cast<peer::StreamUser*>(this);
}

void ServerFlowHead::on_quic_readable(Instant now) {
  Bytes scratch;
  const auto head = session::decode_flow_open(session_.dialect(), first_bytes(stream_, scratch));
  if (!head) {
    const bool may_continue = head.error() == DecodeError::truncated && !stream_.is_fin_received &&
                              stream_.input.size() < session::kMaxHeadBytes;
    if (!may_continue) give_up(now, to_string(head.error()));
    return;
  }
  stream_.consume(head->size);
  stream_.input.set_origin();
  stream_.context = nullptr;
  session_.on_flow_open(now, stream_, head->value);
  session_.core().retire(now, *this);
}

void ServerFlowHead::on_quic_reset(Instant now, std::uint64_t) {
  give_up(now, "reset");
}

void ServerFlowHead::give_up(Instant now, std::string_view why) {
  drive::Worker& worker = session_.context().worker;
  worker.log().debug("flow", "a stream without a readable head was reset: {}", why);
  stream_.reset(peer::kProtocolError);
  stream_.stop_sending(peer::kProtocolError);
  stream_.context = nullptr;
  session_.core().retire(now, *this);
}

// --- TCP and Unix sockets --------------------------------------------------------------------

ServerStreamFlow::ServerStreamFlow(peer::ServerSession& session, buffers::ByteStream& stream,
                                   const tunnel::Source& source)
    : session_(session),
      stream_(&stream),
      source_(source.text()),
      dialer_(std::make_unique<Dialer>(session.context().worker, source_policy(session), source,
                                       session.gate().descriptors(), session.gate().lookups(),
                                       *this)),
      pump_(session.context().worker, stream, session.context().traffic, *this) {
  stream.context = static_cast<peer::StreamUser*>(this);
}

void ServerStreamFlow::on_quic_readable(Instant) {
  pump_.on_quic_readable();
}
void ServerStreamFlow::on_quic_writable(Instant now) {
  pump_.on_quic_writable(now);
}

void ServerStreamFlow::on_quic_reset(Instant now, std::uint64_t) {
  pump_.deliver_rest();  // what the client's application said before
  pump_.abort(peer::kReset);
  leave(now);
}

void ServerStreamFlow::on_quic_stop_sending(Instant now, std::uint64_t) {
  if (stream_->is_fin_received && pump_.has_port()) {
    pump_.end_upstream(now);  // it ended in order, and reads no more
    return;
  }
  // The client's application closed its socket: TCP tells the source by a reset.
  pump_.abort(peer::kReset);
  leave(now);
}

void ServerStreamFlow::on_resumed(Instant now, quic::Stream& stream) {
  stream_ = &stream;
  pump_.on_resumed(now, stream);
}

void ServerStreamFlow::on_quic_closed(Instant) {
  pump_.on_quic_closed();
  dialer_.reset();
  descriptor_ = {};  // the session may go before this object
  stream_ = nullptr;
}

void ServerStreamFlow::on_dialled(Instant now, std::unique_ptr<StreamPort> port,
                                  const StreamAddress& address) {
  // The policy may have changed since the dialling began.
  if (!allows(session_.context().policy->sources, address, tunnel::Protocol::tcp)) {
    on_dial_failed(now, session::RefusalCode::not_allowed, std::string(kNoLongerAllowed));
    return;
  }
  if (!session_.gate().is_audited()) {  // likewise
    on_dial_failed(now, session::RefusalCode::limit, std::string(peer::kNotAudited));
    return;
  }
  reached_ = address;
  descriptor_ = peer::DescriptorUse(session_.gate().descriptors());
  session_.context().worker.log().debug("flow", "Accepted source request, forwarding to {}",
                                        to_text(address));
  session_.gate().accept(*stream_, source_, to_text(address));
  pump_.attach(std::move(port));
  pump_.open_downstream();
  dialer_.reset();  // with the attempts that lost
}

void ServerStreamFlow::on_dial_failed(Instant now, session::RefusalCode code,
                                      const std::string& reason) {
  session_.gate().refuse(now, *stream_, source_, code, reason);
  leave(now);
}

void ServerStreamFlow::on_pump_finished(Instant now) {
  leave(now);
}
void ServerStreamFlow::on_pump_broken(Instant now) {
  leave(now);
}

void ServerStreamFlow::on_policy_changed(Instant now) {
  const bool is_connected = stream_ != nullptr && !dialer_;
  if (!is_connected ||
      allows(session_.context().policy->sources, reached_, tunnel::Protocol::tcp)) {
    return;
  }
  session_.context().worker.warnings().warn(
      now, fmt::format("flow to {} ends: {}", to_text(reached_), kNoLongerAllowed));
  pump_.abort(peer::kRefused);
  leave(now);
}

void ServerStreamFlow::leave(Instant now) {
  if (stream_ == nullptr) return;
  stream_->context = nullptr;
  stream_ = nullptr;
  dialer_.reset();
  descriptor_ = {};
  session_.core().retire(now, *this);
}

// --- UDP -------------------------------------------------------------------------------------

ServerUdpFlow::ServerUdpFlow(peer::ServerSession& session, quic::Stream& stream, std::uint64_t id,
                             const tunnel::Source& source, Multipath mode)
    : session_(session),
      stream_(&stream),
      id_(id),
      mode_(mode),
      source_(source),
      lookup_(std::make_unique<SourceLookup>(session.context().worker.host(),
                                             source_policy(session), source,
                                             session.gate().lookups(), *this)),
      idle_(session.context().worker.timers(), *this) {
  stream.context = static_cast<peer::StreamUser*>(this);
  stream.owner->carry_messages(stream);
}

ServerUdpFlow::~ServerUdpFlow() {
  if (port_) session_.context().worker.egress().forget(*port_);
}

void ServerUdpFlow::on_addresses(Instant now, std::vector<SocketAddress> addresses) {
  // UDP has no connect that could fail: the first allowed address is the one.
  remote_ = addresses.front();
  if (!session_.context().policy->sources.udp.allows(remote_)) {  // changed meanwhile
    on_no_address(now, session::RefusalCode::not_allowed, std::string(kNoLongerAllowed));
    return;
  }
  if (!session_.gate().is_audited()) {  // likewise
    on_no_address(now, session::RefusalCode::limit, std::string(peer::kNotAudited));
    return;
  }
  if (session_.gate().descriptors().is_full()) {  // others were quicker
    on_no_address(now, session::RefusalCode::limit, session_.gate().descriptors().refusal());
    return;
  }
  const UdpOptions options{.bind = {IpAddress::any(remote_.ip.family()), 0}, .remote = remote_};
  drive::Worker& worker = session_.context().worker;
  auto port = worker.host().open_udp(options, *this);
  if (!port) {
    const bool is_limit = port.error().kind == ErrorKind::limit;
    on_no_address(now, is_limit ? session::RefusalCode::limit : session::RefusalCode::unreachable,
                  port.error().text());
    return;
  }
  descriptor_ = peer::DescriptorUse(session_.gate().descriptors());
  port_ = std::move(*port);
  worker.log().debug("flow", "Accepted source request, forwarding to {}", remote_.text());
  session_.gate().accept(*stream_, source_.text(), remote_.text());
  if (session_.dialect() == session::Dialect::culvert_1)
    session_.core().add_datagram_user(id_, *this);
  idle_.set(now + session_.context().policy->udp_flow_idle);
  on_quic_readable(now);
}

void ServerUdpFlow::on_no_address(Instant now, session::RefusalCode code,
                                  const std::string& reason) {
  session_.gate().refuse(now, *stream_, source_.text(), code, reason);
  leave(now);
}

void ServerUdpFlow::on_datagram(Instant now, ByteView payload) {
  if (const auto first = copies_.first(payload, mode_)) forward(now, *first);
}

void ServerUdpFlow::on_quic_readable(Instant now) {
  if (!port_) return;  // what came early waits for the name
  take_datagram_frames(*stream_, [&](ByteView payload) { forward(now, payload); });
  if (stream_->is_fin_received) {
    stream_->finish();
    stream_->stop_sending(0);
    leave(now);
  }
}

void ServerUdpFlow::forward(Instant now, ByteView payload) {
  idle_.set(now + session_.context().policy->udp_flow_idle);
  session_.context().traffic.from_stream += payload.size();
  session_.context().worker.egress().send(*port_, {.local = {}, .remote = remote_}, payload);
}

void ServerUdpFlow::on_udp_readable(Instant now) {
  take_datagrams(*port_, [this](const PathId&, ByteView payload) { reply(payload); });
  idle_.set(now + session_.context().policy->udp_flow_idle);
}

void ServerUdpFlow::reply(ByteView payload) {
  session_.context().traffic.to_stream += payload.size();
  if (session_.dialect() == session::Dialect::culvert_1 &&
      session_.core().send_datagram(mode_, copies_.header(id_, mode_).view(), payload)) {
    return;
  }
  if (!append_datagram_frame(*stream_, payload)) {
    ++session_.context().stats.udp_dropped;
  }
}

void ServerUdpFlow::on_quic_reset(Instant now, std::uint64_t) {
  stream_->reset(0);
  leave(now);
}

void ServerUdpFlow::on_quic_stop_sending(Instant now, std::uint64_t) {
  stream_->stop_sending(0);
  leave(now);
}

void ServerUdpFlow::on_quic_closed(Instant) {
  session_.core().remove_datagram_user(id_);
  stream_ = nullptr;
  lookup_.reset();
  idle_.cancel();
  descriptor_ = {};
}

void ServerUdpFlow::on_idle(Instant now) {
  stream_->finish();
  stream_->stop_sending(0);
  leave(now);
}

void ServerUdpFlow::on_policy_changed(Instant now) {
  if (!port_ || session_.context().policy->sources.udp.allows(remote_)) return;
  session_.context().worker.warnings().warn(
      now, fmt::format("UDP flow to {} ends: {}", remote_.text(), kNoLongerAllowed));
  stream_->reset(peer::kRefused);
  stream_->stop_sending(peer::kRefused);
  leave(now);
}

void ServerUdpFlow::leave(Instant now) {
  if (stream_ == nullptr) return;
  session_.core().remove_datagram_user(id_);
  stream_->context = nullptr;
  stream_ = nullptr;
  idle_.cancel();
  lookup_.reset();
  if (port_) session_.context().worker.egress().forget(*port_);
  port_.reset();
  descriptor_ = {};
  session_.core().retire(now, *this);
}

// --- all of them -----------------------------------------------------------------------------

void ServerFlows::read_head(peer::ServerSession& session, quic::Stream& stream) {
  session.core().add(std::make_unique<ServerFlowHead>(session, stream));
}

void ServerFlows::start_stream_flow(Instant now, peer::ServerSession& session,
                                    buffers::ByteStream& stream, const tunnel::Source& source) {
  session.core().add(std::make_unique<ServerStreamFlow>(session, stream, source)).start(now);
}

void ServerFlows::start_udp_flow(peer::ServerSession& session, quic::Stream& stream,
                                 const session::FlowOpen& open, const tunnel::Source& source) {
  session.core().add(
      std::make_unique<ServerUdpFlow>(session, stream, open.flow_id, source, open.multipath));
}

}  // namespace culvert::flow
