// The part of ConnectionImpl that lets streams outlive their connection.
#include "base/assert.h"
#include "base/probe.h"
#include "quic/connection_impl.h"

#include <algorithm>
#include <utility>

namespace culvert::quic {

// A closed connection writes nothing but its close packet and reads nothing, so ngtcp2 does
// not look at the bytes of these streams any more.
std::vector<std::unique_ptr<Stream>> ConnectionImpl::take_streams() {
  CULVERT_ASSERT(!life_.is_open());
  events_.clear();
  std::vector<std::unique_ptr<Stream>> taken;
  while (Stream* stream = streams_.next_in_turn()) {
    ngtcp2_conn_set_stream_user_data(connection_, stream->id, nullptr);
    credit_.on_stream_over(stream->credit);
    credit_.budget().let_go(std::exchange(stream->held, 0));
    stream->is_parked = true;
    stream->owner = nullptr;
    taken.push_back(streams_.remove(*stream));
  }
  std::ranges::sort(taken, {}, [](const auto& stream) { return stream->id; });
  return taken;
}

void ConnectionImpl::inherit(Stream& fresh, Stream& parked, const Inheritance& what) {
  fresh.context = parked.context;
  fresh.flow_id = parked.flow_id;
  fresh.is_resumed = true;
  if (parked.carries_messages) carry_messages(fresh);
  fresh.wants_space = parked.wants_space;
  fresh.is_fin_received = fresh.is_fin_received || parked.is_fin_received;
  const std::size_t known = std::min(what.input_skip, fresh.input.size());
  if (known > 0) CULVERT_PROBE("quic.a resumed stream has brought what is known");
  consume(fresh, known);
  fresh.input_skip = what.input_skip - known;
  const std::size_t waiting = parked.input.size();
  credit_.on_inherited(clock_.last(), fresh.credit, waiting, parked.input.end_offset() - waiting);
  fresh.input.inherit(parked.input);
  fresh.output.inherit(parked.output, what.output_from, what.head);
  if (parked.is_input_dropped) stop_sending(fresh, 0);
  if (parked.is_fin_queued || parked.is_output_over) {
    finish(fresh);
  } else {
    submit(fresh);
  }
}

// What the peer sends again because it did not know that we have it.
ByteView ConnectionImpl::skip_known(Stream& stream, ByteView data) {
  const std::size_t known = std::min(stream.input_skip, data.size());
  if (known > 0) CULVERT_PROBE("quic.a resumed stream brings what is known");
  stream.input_skip -= known;
  extend_stream(stream, credit_.on_consumed(clock_.last(), stream.credit, known));
  extend_connection();
  return data.subspan(known);
}

}  // namespace culvert::quic
