#include "quic/own_ids.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace culvert::quic {
namespace {

ConnectionId id_of(std::uint8_t fill) {
  return ConnectionId(Bytes(8, fill));
}

// Remembers what was asked of it; ids are taken once, and made one after the other.
class FakeRegistry : public IdRegistry {
 public:
  std::vector<ConnectionId> ids;
  std::vector<ConnectionId> tokens;
  std::uint8_t next = 100;

  ConnectionId make_connection_id() override { return id_of(next++); }
  ResetToken reset_token(const ConnectionId&) override { return {}; }
  bool register_id(const ConnectionId& id, ConnectionImpl*) override { return add(ids, id); }
  void unregister_id(const ConnectionId& id) override { EXPECT_EQ(std::erase(ids, id), 1U); }
  bool register_peer_token(const ConnectionId& token, ConnectionImpl*) override {
    return add(tokens, token);
  }
  void unregister_peer_token(const ConnectionId& token) override {
    EXPECT_EQ(std::erase(tokens, token), 1U);
  }

 private:
  static bool add(std::vector<ConnectionId>& to, const ConnectionId& id) {
    if (std::ranges::find(to, id) != to.end()) return false;
    to.push_back(id);
    return true;
  }
};

TEST(OwnIds, are_registered_as_long_as_they_are_in_use) {
  FakeRegistry registry;
  {
    OwnIds ids(registry, nullptr);
    EXPECT_TRUE(ids.add(id_of(1)));
    const auto made = ids.make();
    ASSERT_TRUE(made);
    EXPECT_TRUE(ids.contains(id_of(1).view()));
    EXPECT_TRUE(ids.contains(made->view()));
    EXPECT_FALSE(ids.contains(id_of(2).view()));
    EXPECT_EQ(registry.ids.size(), 2U);
    ids.retire(id_of(1).view());
    ids.retire(id_of(1).view());  // once is enough
    EXPECT_FALSE(ids.contains(id_of(1).view()));
    EXPECT_EQ(registry.ids, std::vector{*made});
  }
  EXPECT_TRUE(registry.ids.empty());
}

TEST(OwnIds, that_another_has_are_not_theirs) {
  FakeRegistry registry;
  OwnIds others(registry, nullptr);
  EXPECT_TRUE(others.add(id_of(1)));
  {
    OwnIds ids(registry, nullptr);
    EXPECT_FALSE(ids.add(id_of(1)));
    EXPECT_FALSE(ids.contains(id_of(1).view()));
    ids.retire(id_of(1).view());
    registry.next = 1;
    EXPECT_FALSE(ids.make());
  }
  EXPECT_EQ(registry.ids.size(), 1U) << "the other's is left alone";
}

TEST(OwnIds, go_with_tokens_of_the_peer) {
  FakeRegistry registry;
  const Bytes token(16, 7);
  OwnIds others(registry, nullptr);
  others.add_peer_token(token);
  {
    OwnIds ids(registry, nullptr);
    ids.add_peer_token(token);  // the same peer, or one that lies: the first has it
    ids.add_peer_token(Bytes(16, 8));
    ids.add_peer_token(Bytes(16, 9));
    ids.retire_peer_token(Bytes(16, 8));
    EXPECT_EQ(registry.tokens.size(), 2U);
  }
  EXPECT_EQ(registry.tokens.size(), 1U);
  others.retire_peer_token(token);
  EXPECT_TRUE(registry.tokens.empty());
}

}  // namespace
}  // namespace culvert::quic
