#include "quic/stream.h"

#include "quic/loopback_pair.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;

// A connection, one of its streams whose peer has "before", and the next connection.
struct Streams {
  Streams() : connection(pair.connect()) {
    EXPECT_TRUE(pair.establish());
    stream = connection.open_stream();
    stream->flow_id = 7;
    stream->output.append(as_bytes("before"));
    stream->submit();
    pair.run_for(1s);
  }
  std::unique_ptr<Stream> park() {
    connection.close(pair.now, 1, "");
    auto parked = connection.take_streams();
    EXPECT_EQ(parked.size(), 1U);
    return std::move(parked.front());
  }
  // `parked` goes on; the peer has not heard of it yet.
  Stream& resume(Stream& parked) {
    Connection& next = pair.connect({}, "culvert/1", 50'001);
    EXPECT_TRUE(pair.run_until([&] { return next.is_established(); }));
    Stream& fresh = *next.open_stream_to_resume();
    next.inherit(fresh, parked,
                 {.output_from = parked.output.delivered_offset(), .head = as_bytes("head")});
    return fresh;
  }

  LoopbackPair pair;
  Connection& connection;
  Stream* stream = nullptr;
};

TEST(Stream, of_a_connection_hands_its_verbs_on) {
  Streams streams;
  std::size_t received = 0;
  bool has_ended = false;
  std::uint64_t reset_code = 0;
  streams.pair.server.on_readable = [&](Connection&, Stream& stream) {
    received += stream.input.size();
    has_ended = stream.is_fin_received;
    stream.consume(stream.input.size());
    stream.reset(9);
  };
  streams.pair.client.on_event = [&](Connection&, Event& event) {
    if (const auto* reset = std::get_if<StreamReset>(&event)) reset_code = reset->code;
  };
  streams.stream->output.append(as_bytes("after"));
  streams.stream->finish();
  ASSERT_TRUE(streams.pair.run_until([&] { return has_ended && reset_code != 0; }));
  EXPECT_EQ(received, 11U);
  EXPECT_EQ(reset_code, 9U);
  EXPECT_FALSE(streams.stream->is_end_untold);
}

TEST(Stream, that_is_parked_keeps_what_is_done_to_it) {
  Streams streams;
  streams.pair.server.on_readable = [](Connection&, Stream& stream) {
    stream.output.append(as_bytes("answer"));
    stream.submit();
    stream.consume(stream.input.size());
  };
  streams.stream->output.append(as_bytes("more"));
  streams.stream->submit();
  streams.pair.run_for(1s);
  ASSERT_EQ(streams.stream->input.size(), 6U);
  const auto parked = streams.park();
  EXPECT_TRUE(parked->is_parked);
  parked->consume(2);
  EXPECT_EQ(parked->input.size(), 4U);
  parked->output.append(as_bytes("later"));
  parked->submit();
  parked->finish();
  EXPECT_TRUE(parked->is_fin_queued);
  EXPECT_EQ(parked->output.unacked_bytes(), 5U);
  parked->reset(1);
  EXPECT_TRUE(parked->is_output_over);
  EXPECT_EQ(parked->output.unacked_bytes(), 0U);
  parked->stop_sending(1);
  EXPECT_TRUE(parked->is_input_dropped);
  EXPECT_EQ(parked->input.size(), 0U);
}

// The peer may take the reset for that of a flow which it never had.
TEST(Stream, that_is_reset_before_its_head_has_arrived_is_untold) {
  Streams streams;
  const auto parked = streams.park();
  Stream& fresh = streams.resume(*parked);
  fresh.reset(1);
  EXPECT_TRUE(fresh.is_end_untold);
}

TEST(Stream, that_is_reset_when_its_head_has_arrived_tells_so_itself) {
  Streams streams;
  const auto parked = streams.park();
  Stream& fresh = streams.resume(*parked);
  ASSERT_TRUE(streams.pair.run_until([&] { return fresh.output.is_head_acked(); }));
  fresh.reset(1);
  EXPECT_FALSE(fresh.is_end_untold);
}

}  // namespace
}  // namespace culvert::quic
