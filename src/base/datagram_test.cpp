#include "base/datagram.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert {
namespace {

std::vector<std::string> segments_of(std::string_view bytes, std::uint16_t segment_size) {
  const RxDatagram datagram{.path = {}, .segment_size = segment_size, .bytes = as_bytes(bytes)};
  std::vector<std::string> segments;
  for_each_segment(datagram, [&](ByteView segment) { segments.emplace_back(as_text(segment)); });
  EXPECT_EQ(segment_count(datagram), segments.size());
  return segments;
}

TEST(Datagram, is_taken_apart_at_its_segments) {
  using Segments = std::vector<std::string>;
  EXPECT_EQ(segments_of("abc", 3), Segments{"abc"});
  EXPECT_EQ(segments_of("aabbcc", 2), (Segments{"aa", "bb", "cc"}));
  EXPECT_EQ(segments_of("aabbc", 2), (Segments{"aa", "bb", "c"}));
  EXPECT_EQ(segments_of("a", 5), Segments{"a"});
}

TEST(Datagram, is_one_when_it_is_empty) {
  EXPECT_EQ(segments_of("", 0), std::vector<std::string>{""});
  EXPECT_EQ(segments_of("", 7), std::vector<std::string>{""});
}

TEST(Datagram, without_a_segment_size_is_whole) {
  EXPECT_EQ(segments_of("abc", 0), std::vector<std::string>{"abc"});
}

}  // namespace
}  // namespace culvert
