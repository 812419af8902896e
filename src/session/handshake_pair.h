// For tests: a client and a server handshake with a perfect stream between them.
#pragma once

#include "session/handshake.h"

#include <array>
#include <functional>
#include <memory>
#include <optional>

namespace culvert::session {

inline constexpr Instant kStart{std::chrono::seconds(1)};

inline crypto::SecretKey key_of(std::uint8_t value) {
  std::array<std::uint8_t, 32> seed{};
  seed.fill(value);
  return crypto::SecretKey::from_seed(seed);
}

// A client and a server handshake with a perfect stream between them.
struct Pair {
  explicit Pair(Dialect d) : dialect(d) {}

  void start() {
    client = make_client_handshake(dialect,
                                   {.credentials = &credentials,
                                    .offers_resume = client_offers_resume,
                                    .ticket = ticket,
                                    .joins = joins},
                                   client_exporter, rng, kStart);
    server = make_server_handshake(dialect,
                                   {.policy = {std::shared_ptr<void>(), &policy},
                                    .max_flows = 500,
                                    .admits = admits,
                                    .resume = terms,
                                    .resume_keys = resume_keys,
                                    .gate = gate,
                                    .address = address},
                                   client_id, server_exporter, rng, kStart);
  }
  // Until both are silent; one byte at a time when `is_dripping`.
  void exchange() {
    for (int round = 0; round < 10; ++round) {
      move(*client, *server);
      move(*server, *client);
    }
    if (auto verdict = client->poll_verdict()) client_verdict = std::move(verdict);
    if (auto verdict = server->poll_verdict()) server_verdict = std::move(verdict);
  }
  void move(Handshake& from, Handshake& to) const {
    const Bytes bytes = from.take_output();
    if (is_dripping) {
      for (const std::uint8_t byte : bytes) to.handle_data(kStart, ByteView(&byte, 1));
    } else if (!bytes.empty()) {
      to.handle_data(kStart, bytes);
    }
  }
  void run() {
    start();
    exchange();
  }
  template <typename T>
  [[nodiscard]] const T* client_verdict_as() const {
    return client_verdict ? std::get_if<T>(&*client_verdict) : nullptr;
  }
  template <typename T>
  [[nodiscard]] const T* server_verdict_as() const {
    return server_verdict ? std::get_if<T>(&*server_verdict) : nullptr;
  }

  Dialect dialect;
  SeededRng rng{1};
  ServerAuthPolicy policy;
  ClientCredentials credentials;
  crypto::EndpointId client_id = key_of(9).public_key();
  ExporterValue client_exporter{1, 2, 3};
  ExporterValue server_exporter{1, 2, 3};
  std::function<Admittance(Instant, const AuthIdentity&)> admits;
  bool client_offers_resume = false;
  std::optional<ResumeTicket> ticket;
  bool joins = false;
  std::optional<ResumeTerms> terms;
  ResumeKeyLookup resume_keys;
  AuthGate* gate = nullptr;
  std::optional<IpAddress> address;
  bool is_dripping = false;
  std::unique_ptr<Handshake> client;
  std::unique_ptr<Handshake> server;
  std::optional<Verdict> client_verdict;
  std::optional<Verdict> server_verdict;
};

}  // namespace culvert::session
