#include "quic/connection_callbacks.h"

#include "quic/connection_impl.h"
#include "quic/packet_protection.h"

#include <ngtcp2/ngtcp2_crypto.h>

namespace culvert::quic {

// Only translates: each function finds its objects and calls the on_* of the connection.
struct Callbacks {
  static ConnectionImpl& of(void* user_data) { return *static_cast<ConnectionImpl*>(user_data); }

  static int handshake_completed(ngtcp2_conn*, void* user_data) {
    return of(user_data).on_handshake_completed() ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
  }
  static int stream_open(ngtcp2_conn*, std::int64_t id, void* user_data) {
    of(user_data).on_stream_opened(id);
    return 0;
  }
  static int recv_stream_data(ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t,
                              const std::uint8_t* data, std::size_t size, void* user_data,
                              void* stream) {
    // Without a Stream: its input was dropped, and ngtcp2 counts the bytes by itself.
    if (stream == nullptr) return 0;
    of(user_data).on_stream_data(id, static_cast<Stream*>(stream),
                                 (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0, {data, size});
    return 0;
  }
  static int acked_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t size,
                               void* user_data, void* stream) {
    if (stream != nullptr) of(user_data).on_stream_acked(*static_cast<Stream*>(stream), size);
    return 0;
  }
  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t code,
                          void* user_data, void* stream) {
    if (stream != nullptr) of(user_data).on_stream_reset(*static_cast<Stream*>(stream), code);
    return 0;
  }
  static int stream_close(ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t code,
                          void* user_data, void* stream) {
    if (stream == nullptr) {
      of(user_data).on_orphan_closed(id);
      return 0;
    }
    const bool has_code = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0;
    of(user_data).on_stream_closed(*static_cast<Stream*>(stream),
                                   has_code ? std::optional(code) : std::nullopt);
    return 0;
  }
  static int extend_max_stream_data(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user_data,
                                    void* stream) {
    if (stream != nullptr) of(user_data).on_stream_window(*static_cast<Stream*>(stream));
    return 0;
  }
  static int extend_max_local_streams(ngtcp2_conn*, std::uint64_t, void* user_data) {
    of(user_data).on_streams_available();
    return 0;
  }
  static int recv_datagram(ngtcp2_conn*, std::uint32_t, const std::uint8_t* data, std::size_t size,
                           void* user_data) {
    of(user_data).on_datagram({data, size});
    return 0;
  }
  static int lost_datagram(ngtcp2_conn*, std::uint64_t id, void* user_data) {
    if (id != congestion::Decoys::kDatagramId) of(user_data).tally_.on_datagram_lost();
    return 0;
  }
  static int recv_stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*,
                                  void* user_data) {
    of(user_data).life_.note_reset();
    return 0;
  }
  static int recv_new_token(ngtcp2_conn*, const std::uint8_t* token, std::size_t size,
                            void* user_data) {
    of(user_data).host_.keep_ticket(of(user_data).peer(), {token, size});
    return 0;
  }
  static int path_validation(ngtcp2_conn*, std::uint32_t, const ngtcp2_path* path,
                             const ngtcp2_path*, ngtcp2_path_validation_result result,
                             void* user_data) {
    if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS) of(user_data).on_path_validated(*path);
    return 0;
  }
  static int get_new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                                   std::size_t size, void* user_data) {
    return of(user_data).on_new_connection_id(*id, token, size) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
  }
  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user_data) {
    of(user_data).on_connection_id_retired(*id);
    return 0;
  }
  static int dcid_status(ngtcp2_conn*, ngtcp2_connection_id_status_type type, std::uint64_t,
                         const ngtcp2_cid*, const std::uint8_t* token, void* user_data) {
    // Not called before a client has written, and a server read, the end of the handshake.
    of(user_data).gate_.end_handshake();
    if (token == nullptr) return 0;
    of(user_data).on_peer_token(type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE,
                                {token, NGTCP2_STATELESS_RESET_TOKENLEN});
    return 0;
  }
  static void rand(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
    static_cast<LibraryContext*>(context->native_handle)->rng->fill({out, size});
  }
  static int get_path_challenge_data(ngtcp2_conn*, std::uint8_t* data, void* user_data) {
    of(user_data).host_.rng().fill({data, NGTCP2_PATH_CHALLENGE_DATALEN});
    return 0;
  }
  static void qlog(void* user_data, const void* data, std::size_t size) {
    ConnectionImpl& self = of(user_data);
    self.host_.config().qlog(self.qlog_id_,
                             as_text({static_cast<const std::uint8_t*>(data), size}));
  }
};

ngtcp2_callbacks make_callbacks(ProtectionBackend protection) {
  ngtcp2_callbacks callbacks{};
  callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
  callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  callbacks.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
  callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
  callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
  install_protection(callbacks, protection);

  callbacks.handshake_completed = Callbacks::handshake_completed;
  callbacks.stream_open = Callbacks::stream_open;
  callbacks.recv_stream_data = Callbacks::recv_stream_data;
  callbacks.acked_stream_data_offset = Callbacks::acked_stream_data;
  callbacks.stream_reset = Callbacks::stream_reset;
  callbacks.stream_close = Callbacks::stream_close;
  callbacks.extend_max_stream_data = Callbacks::extend_max_stream_data;
  callbacks.extend_max_local_streams_bidi = Callbacks::extend_max_local_streams;
  callbacks.recv_datagram = Callbacks::recv_datagram;
  callbacks.lost_datagram = Callbacks::lost_datagram;
  callbacks.recv_stateless_reset = Callbacks::recv_stateless_reset;
  callbacks.recv_new_token = Callbacks::recv_new_token;
  callbacks.path_validation = Callbacks::path_validation;
  callbacks.get_new_connection_id = Callbacks::get_new_connection_id;
  callbacks.remove_connection_id = Callbacks::remove_connection_id;
  callbacks.dcid_status = Callbacks::dcid_status;
  callbacks.rand = Callbacks::rand;
  callbacks.get_path_challenge_data = Callbacks::get_path_challenge_data;
  return callbacks;
}

void write_qlog(void* user_data, std::uint32_t, const void* data, std::size_t size) {
  Callbacks::qlog(user_data, data, size);
}

}  // namespace culvert::quic
