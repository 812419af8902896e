// The client's session with its server: the flows, on one connection after another. Where
// server and client can resume, flows go on when the connection is lost; otherwise they end
// with it. Knows nothing of listeners and dialling. Private to drive/.
#pragma once

#include "drive/traffic_counters.h"
#include "drive/worker.h"
#include "path/silence_watch.h"
#include "peer/client_config.h"
#include "peer/client_dial.h"
#include "peer/path_choice.h"
#include "peer/session_core.h"
#include "session/flow_open.h"
#include "session/resume_talk.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace culvert::peer {

class ClientSession;
class PeerAddresses;

struct ClientContext {
  drive::Worker& worker;
  const ClientConfig& config;
  ClientStats& stats;
  drive::TrafficCounters& traffic;
  const PeerAddresses& addresses;
};

class ClientSessionOwner {
 public:
  // It waits for another connection (adopt). Where the server ended the session or cannot
  // resume, the flows have been reset.
  virtual void on_connection_lost(Instant now, Error error) = 0;
  // The server is silent although it owes an answer: time to dial beside the connection.
  virtual void on_silence(Instant now) = 0;
  virtual void on_silence_over(Instant now) = 0;
  virtual void on_flow_ended(Instant now) = 0;
  // A dial is so far that the server may have resumed the session there.
  [[nodiscard]] virtual bool is_resuming() const = 0;
  // Another path was asked to take over: dials are not needed, unless it fails.
  virtual void on_take_over(Instant now) = 0;
  // Somebody has something for the server, which is not heard at present.
  virtual void on_wanted(Instant now) = 0;

 protected:
  ~ClientSessionOwner() = default;
};

// Owned by the role; lives as long as it.
class ClientSession final : public drive::ConnectionHandler,
                            public ControlHandler,
                            public SessionCoreOwner {
 public:
  ClientSession(ClientContext& context, ClientSessionOwner& owner);
  ~ClientSession() override;

  // Goes on with this connection, in place of the present one if there is one. Returns how
  // many flows a new session, which the server began, cost.
  std::size_t adopt(Instant now, Dialled dialled);
  // What a dial needs to get this session; empty: there is none to resume.
  [[nodiscard]] const std::optional<session::ResumeTicket>& ticket() const { return ticket_; }
  [[nodiscard]] std::optional<std::uint8_t> server_worker() const;
  [[nodiscard]] bool is_connected() const { return connection() != nullptr; }
  [[nodiscard]] bool is_silent() const {
    return silence_.is_silent() || choice_.move().is_stalled();
  }
  [[nodiscard]] bool is_resumable() const { return terms_.has_value(); }
  [[nodiscard]] bool takes_multipath() const { return terms_ && terms_->is_multipath; }

  void leave();
  void close(Instant now, session::CloseCode code, std::string_view reason);
  void on_network_changed(Instant now);
  // Runs `start` with a new stream, which begin_flow() follows: now, or when there is one; or
  // without one, and why.
  struct NewStream {
    quic::Stream* stream = nullptr;
    std::string why_none{};
  };
  using StartFlow = std::move_only_function<void(Instant now, NewStream opened)>;
  void with_new_stream(Instant now, StartFlow start);
  // The flow begins with this, which is completed; what follows is the flow's, on the stream that
  // is returned: this one, or, where the flow is spread over paths, one made of several.
  buffers::ByteStream& begin_flow(Instant now, quic::Stream& stream, session::FlowOpen open);
  void add_flow(std::unique_ptr<StreamUser> flow);
  // A flow has ended in a way that the server may not see (ByteStream::is_end_untold).
  void announce_gone(std::uint64_t flow_id);

  [[nodiscard]] std::uint64_t next_flow_id() { return next_flow_id_++; }

  [[nodiscard]] PathChoice& choice() { return choice_; }
  [[nodiscard]] const PathChoice& choice() const { return choice_; }
  [[nodiscard]] const SocketAddress& server() const { return server_; }
  [[nodiscard]] ClientContext& context() { return context_; }
  [[nodiscard]] SessionCore& core() { return core_; }
  // A flow is or was spread over several paths.
  [[nodiscard]] bool uses_several_paths() const { return uses_several_paths_; }
  [[nodiscard]] std::vector<ClientPath> paths() const;
  // Another lane becomes the session's connection. False: none can.
  [[nodiscard]] bool take_over(Instant now);
  // The lanes that were asked to be the session's connection do not answer.
  void on_promotion_failed(Instant now);
  // From PathChoice: the connection does not answer where it has moved to; or it does, at last; or
  // there is no way on which it may.
  void on_move_stalled(Instant now);
  void on_move_over(Instant now);
  void on_no_way(Instant now);
  // Null while there is none.
  [[nodiscard]] quic::Connection* connection() const { return core_.connection(); }
  [[nodiscard]] session::Dialect dialect() const { return dialect_; }
  [[nodiscard]] std::size_t flow_count() const { return core_.flows().size() + waiting_.size(); }

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override { core_.on_readable(now, stream); }
  void on_writable(Instant now, quic::Stream& stream) override { core_.on_writable(now, stream); }
  void on_datagram(Instant now, ByteView datagram) override { core_.on_datagram(now, datagram); }
  void on_stream_event(Instant now, const quic::Event& event);  // of any of its connections

 private:
  struct Waiting {
    StartFlow start;
    Instant deadline;
  };

  void on_control(Instant now) override;
  void on_control_failed(Instant now, const session::ChannelFailure& failure) override;
  [[nodiscard]] quic::Stream* new_stream();
  // A server that has said goodbye gets no more: they wait for it to come back.
  [[nodiscard]] bool takes_flows() const { return is_connected() && !is_server_leaving_; }
  void want_several_paths(Instant now);
  [[nodiscard]] Duration patience() const;
  void on_flow_stream(quic::Stream& stream) override;
  void on_flow_ended(Instant now) override { owner_.on_flow_ended(now); }
  void on_beyond_share(Instant now) override;
  void on_closed(Instant now, quic::Closed& closed);
  void lose(Instant now, Error error, bool may_resume);
  void forget_connection();
  void resume_flows(Instant now);
  void resume_more_flows(Instant now);
  void start_waiting(Instant now);
  std::size_t reset_flows(Instant now);
  void on_grace_over(Instant now);
  void refuse_flow(Instant now, StartFlow start, std::string why);
  // Whether the server could grant a stream now, and when it would have, had it one to give.
  [[nodiscard]] bool could_open_streams() const;
  [[nodiscard]] Instant grant_expected() const;
  // When the first of those that wait for a stream has waited long enough.
  [[nodiscard]] Instant patience_ends() const;
  [[nodiscard]] std::string why_no_stream() const;
  void on_waiting_timeout(Instant now);
  void on_watch(Instant now);
  void look_elsewhere(Instant now);

  ClientContext& context_;
  SocketAddress server_;
  ClientSessionOwner& owner_;
  SessionCore core_;
  PathChoice choice_;
  std::deque<Waiting> waiting_;
  Instant streams_changed_{};  // last granted by the server, or ended
  std::uint64_t next_flow_id_ = 1;
  session::Dialect dialect_;
  std::optional<session::ResumeTerms> terms_;
  std::optional<session::ResumeTicket> ticket_;
  std::optional<session::ClientResumeTalk> resume_talk_;  // with a connection, and terms
  bool is_resuming_ = false;                              // not all flows have been announced
  std::uint64_t announced_ = 0;                           // since the connection began
  std::size_t resumed_flows_ = 0;  // of those, with somebody here who uses them
  bool uses_several_paths_ = false;
  bool is_server_leaving_ = false;
  std::optional<Error> lost_;  // why it waits for a lane to be its connection
  path::SilenceWatch silence_;
  MemberTimer<ClientSession, &ClientSession::on_grace_over> grace_;
  MemberTimer<ClientSession, &ClientSession::on_waiting_timeout> waiting_timeout_;
  MemberTimer<ClientSession, &ClientSession::on_watch> watch_;
};

}  // namespace culvert::peer
