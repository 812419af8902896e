// TLS 1.2 and 1.3 (GnuTLS) as a stream over a stream: whoever speaks over a StreamPort speaks over
// this. A client believes the system's roots or a private authority and checks the server's name;
// a server shows a certificate. No client certificates, no ALPN, no resumption, no renegotiation.
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "ports/ports.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct gnutls_certificate_credentials_st;
struct gnutls_session_int;

namespace culvert::http {

// What the streams of one end have in common. Made at the start: the roots are files.
class TlsCredentials {
 public:
  struct Trust {
    bool has_system_roots = true;
    std::string_view authorities_pem{};  // beside those; may be empty
  };
  [[nodiscard]] static Result<std::unique_ptr<TlsCredentials>> of_client(const Trust& trust);
  // The certificate with what leads to a root, and its key.
  [[nodiscard]] static Result<std::unique_ptr<TlsCredentials>> of_server(
      std::string_view chain_pem, const Secret<std::string>& key_pem);
  ~TlsCredentials();
  TlsCredentials(const TlsCredentials&) = delete;
  TlsCredentials& operator=(const TlsCredentials&) = delete;

  [[nodiscard]] gnutls_certificate_credentials_st* handle() const { return handle_; }

 private:
  TlsCredentials() = default;
  gnutls_certificate_credentials_st* handle_ = nullptr;
};

// On the thread of its host. on_stream_connected() comes when the handshake is over, at a server
// too; on_stream_failed() when it fails: authentication (the certificate is not believed),
// protocol, unreachable (no end of it in time, or the stream below broke).
//
// What try_write() took may wait here for the stream below, one record (16 KiB) at most: to destroy
// the stream then is a failure at the other end and no end in order, which nobody takes for one.
class TlsStream final : public StreamPort, private StreamHandler {
 public:
  // `server`: its name or address, with or without the dot at the end; for SNI and the check.
  // `below` connects still; `patience` begins with that.
  [[nodiscard]] static std::unique_ptr<TlsStream> connect(
      Host& host, std::unique_ptr<StreamPort> below,
      std::shared_ptr<const TlsCredentials> credentials, std::string server, Duration patience,
      StreamHandler& handler);
  // `below` was accepted.
  [[nodiscard]] static std::unique_ptr<TlsStream> accept(
      Host& host, std::unique_ptr<StreamPort> below,
      std::shared_ptr<const TlsCredentials> credentials, Duration patience, StreamHandler& handler);
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  IoResult try_read(std::span<const ByteSpan> into) override;
  IoResult try_write(std::span<const ByteView> from) override;
  void want_readable() override;
  void want_writable() override;
  void shutdown_write() override;
  void reset() override;
  void set_handler(StreamHandler& handler) override { handler_ = &handler; }
  std::string remote_text() const override { return below_->remote_text(); }
  std::optional<StreamEnds> ends() const override { return below_->ends(); }

  // RFC 5705, RFC 8446 7.5: a secret that both ends know and nobody else; once it is connected.
  // False: it is not.
  [[nodiscard]] bool export_keying_material(std::string_view label, ByteView context,
                                            ByteSpan out) const;

 private:
  enum class State : std::uint8_t { connecting, shaking, open, ended, failed };

  TlsStream(Host& host, std::unique_ptr<StreamPort> below,
            std::shared_ptr<const TlsCredentials> credentials, std::optional<std::string> server,
            Duration patience, StreamHandler& handler);

  void on_stream_connected(Instant now) override;
  void on_stream_failed(Instant now, const Error& error) override;
  void on_stream_readable(Instant now) override;
  void on_stream_writable(Instant now) override;

  void shake(Instant now);
  void fail(Instant now, ErrorKind kind, std::string what);
  [[nodiscard]] Error handshake_error(int code) const;
  [[nodiscard]] bool flush();  // what is taken and not yet below
  void say_end();
  [[nodiscard]] static std::ptrdiff_t pull(void* stream, void* data, std::size_t size);
  [[nodiscard]] static std::ptrdiff_t push(void* stream, const void* data, std::size_t size);

  Host& host_;
  std::shared_ptr<const TlsCredentials> credentials_;
  std::unique_ptr<StreamPort> below_;
  StreamHandler* handler_;
  const std::string peer_;  // for errors
  gnutls_session_int* session_ = nullptr;
  State state_ = State::connecting;
  std::unique_ptr<TimerPort> patience_;  // of the handshake
  std::unique_ptr<TimerPort> soon_;      // a reader whose bytes are here already
  bool wants_readable_ = false;
  bool wants_writable_ = false;
  bool has_pending_ = false;
  bool has_write_failed_ = false;  // what came before may be read
  bool is_ending_ = false;         // shutdown_write() was called
  bool has_said_end_ = false;
};

}  // namespace culvert::http
