// Endpoint over ngtcp2. Internal to quic/.
#pragma once

#include "quic/admission.h"
#include "quic/connection_id.h"
#include "quic/connection_impl.h"
#include "quic/endpoint.h"
#include "quic/stateless.h"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace culvert::quic {

class EndpointImpl final : public Endpoint, private ConnectionHost {
 public:
  EndpointImpl(EndpointConfig config, std::unique_ptr<TlsCredentials> credentials,
               ProtectionBackend protection, Rng& rng, Logger& log, buffers::ChunkPool& chunks);
  ~EndpointImpl() override;

  [[nodiscard]] Routing handle_datagram(Instant now, const PathId& path, Ecn ecn, ByteView bytes,
                                        TxBuilder& replies) override;
  [[nodiscard]] Result<Connection*> connect(Instant now, const PathId& path,
                                            const ConnectOptions& options) override;
  void accept_protocols(std::vector<std::string> alpns) override;
  void remove(Connection& connection) override;
  void set_authenticated(Connection& connection) override;

  [[nodiscard]] std::shared_ptr<buffers::SessionBudget> make_session_budget() const override {
    return std::make_shared<buffers::SessionBudget>(config_.transport.session_buffer_bytes,
                                                    config_.transport.process_buffers);
  }
  [[nodiscard]] std::size_t connection_count() const override { return connections_.size(); }
  [[nodiscard]] const EndpointStats& stats() const override { return stats_; }
  [[nodiscard]] ProtectionBackend protection() const override { return protection_; }

  // For tests: ids in the routing table, and whose one is.
  [[nodiscard]] std::size_t connection_id_count() const { return by_id_.size(); }
  [[nodiscard]] ConnectionImpl* find(ByteView destination);

 private:
  // What the datagrams of one call have in common.
  struct Arrival {
    Instant now;
    const PathId& path;
    Ecn ecn;
    ByteView bytes;
  };
  [[nodiscard]] Routing handle_unknown_short(const Arrival& arrival, ByteView destination,
                                             TxBuilder& replies);
  [[nodiscard]] Routing handle_unknown_long(const Arrival& arrival, const ngtcp2_version_cid& ids,
                                            TxBuilder& replies);
  [[nodiscard]] Routing handle_initial(const Arrival& arrival, const ngtcp2_pkt_hd& initial,
                                       TxBuilder& replies);
  [[nodiscard]] Routing accept(const Arrival& arrival, const ngtcp2_pkt_hd& initial,
                               const CheckedToken& token, TxBuilder& replies);
  Routing send_retry(const Arrival& arrival, const ngtcp2_pkt_hd& initial, TxBuilder& replies);
  [[nodiscard]] bool belongs_elsewhere(ByteView destination) const;
  void displace(Instant now, Admission::Place place);

  // ConnectionHost
  [[nodiscard]] ConnectionId make_connection_id() override;
  [[nodiscard]] ResetToken reset_token(const ConnectionId& id) override;
  bool register_id(const ConnectionId& id, ConnectionImpl* connection) override;
  void unregister_id(const ConnectionId& id) override;
  bool register_peer_token(const ConnectionId& token, ConnectionImpl* connection) override;
  void unregister_peer_token(const ConnectionId& token) override;
  void on_over(ConnectionImpl& connection) override;
  void keep_ticket(const crypto::EndpointId& server, ByteView ticket) override;
  [[nodiscard]] ByteView ticket_for(const crypto::EndpointId& server) const override;
  [[nodiscard]] const EndpointConfig& config() const override { return config_; }
  [[nodiscard]] const TlsCredentials& credentials() const override { return *credentials_; }
  [[nodiscard]] Rng& rng() override { return rng_; }
  [[nodiscard]] Logger& log() override { return log_; }
  [[nodiscard]] buffers::ChunkPool& chunks() override { return chunks_; }

  EndpointConfig config_;
  std::unique_ptr<TlsCredentials> credentials_;
  ProtectionBackend protection_;
  Rng& rng_;
  Logger& log_;
  buffers::ChunkPool& chunks_;
  StatelessReplies replies_;
  ConnectionIdMap<ConnectionImpl> by_id_;
  ConnectionIdMap<ConnectionImpl> by_peer_token_;
  // The id of the last datagram and whose it was: most follow one of the same connection.
  ConnectionId last_id_;
  ConnectionImpl* last_ = nullptr;
  Admission admission_;
  std::unordered_map<Admission::Place, ConnectionImpl*> by_place_;
  std::map<crypto::EndpointId, Bytes> tickets_;  // client: the newest of each server
  EndpointStats stats_;
  // Last: connections unregister from the members above.
  std::unordered_map<const Connection*, std::unique_ptr<ConnectionImpl>> connections_;
};

}  // namespace culvert::quic
