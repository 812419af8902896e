#include "quic/ngtcp2_quirks.h"

#include "quic/connection_impl.h"
#include "quic/loopback_pair.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;

constexpr ngtcp2_duration kUsualPing = 5 * NGTCP2_SECONDS;

TEST(LossTimerWatch, pings_while_the_round_trip_of_a_changed_path_is_not_known) {
  LossTimerWatch watch;
  EXPECT_FALSE(watch.note_rtt_sample(false)) << "there was no path before";
  EXPECT_EQ(watch.ping_after(5s), kUsualPing);
  EXPECT_FALSE(watch.note_rtt_sample(true));
  EXPECT_TRUE(watch.note_rtt_sample(false));
  EXPECT_LT(watch.ping_after(5s), NGTCP2_SECONDS);
  EXPECT_FALSE(watch.note_rtt_sample(false));
  EXPECT_TRUE(watch.note_rtt_sample(true));
  EXPECT_EQ(watch.ping_after(5s), kUsualPing);
}

TEST(LossTimerWatch, pings_at_once_when_asked_until_something_is_in_flight) {
  LossTimerWatch watch;
  EXPECT_FALSE(watch.note_in_flight(true));
  watch.want_ping();
  EXPECT_LE(watch.ping_after(5s), NGTCP2_MILLISECONDS);
  EXPECT_FALSE(watch.note_in_flight(false));
  EXPECT_LE(watch.ping_after(5s), NGTCP2_MILLISECONDS);
  EXPECT_TRUE(watch.note_in_flight(true));
  EXPECT_EQ(watch.ping_after(5s), kUsualPing);
  EXPECT_FALSE(watch.note_in_flight(true));
}

TEST(Ngtcp2Quirks, a_stream_that_the_peer_stopped_is_known_and_no_other_is_touched) {
  LoopbackPair pair;
  Connection& connection = pair.connect();
  ASSERT_TRUE(pair.establish());
  Stream& stopped = *connection.open_stream();
  Stream& other = *connection.open_stream();
  for (Stream* stream : {&stopped, &other}) {
    stream->output.append(Bytes(10, 1));
    connection.submit(*stream);
  }
  ngtcp2_conn& raw = *static_cast<ConnectionImpl&>(connection).raw();
  EXPECT_FALSE(has_peer_stopped(raw, stopped.id, to_timestamp(pair.now)));
  pair.server.on_readable = [&](Connection& end, Stream& stream) {
    if (stream.id == stopped.id) end.stop_sending(stream, 5);
  };
  bool is_told = false;
  pair.client.on_event = [&](Connection&, Event& event) {
    if (const auto* stop = std::get_if<StopSending>(&event)) is_told = stop->stream == &stopped;
  };
  ASSERT_TRUE(pair.run_until([&] { return is_told; }));
  EXPECT_FALSE(has_peer_stopped(raw, other.id, to_timestamp(pair.now)));
}

}  // namespace
}  // namespace culvert::quic
