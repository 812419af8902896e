#include "base/intrusive_list.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <list>

namespace culvert {
namespace {

struct Item {
  ListHook<Item> hook;
};
using List = IntrusiveList<Item, &Item::hook>;

TEST(IntrusiveList, agrees_with_std_list_over_random_use) {
  std::array<Item, 20> items;
  List list;
  std::list<Item*> model;
  SeededRng rng(2);
  for (int i = 0; i < 5'000; ++i) {
    Item& item = items[rng.below(items.size())];
    switch (rng.below(4)) {
      case 0:
        EXPECT_EQ(list.pop_front(), model.empty() ? nullptr : model.front());
        if (!model.empty()) model.pop_front();
        break;
      case 1:
        list.remove(item);  // also when it is in no list
        model.remove(&item);
        break;
      default:
        list.push_back(item);  // also when it is in already
        if (std::ranges::find(model, &item) == model.end()) model.push_back(&item);
    }
    EXPECT_EQ(list.front(), model.empty() ? nullptr : model.front());
    EXPECT_EQ(list.is_empty(), model.empty());
    EXPECT_EQ(list.has_one(), model.size() == 1);
    EXPECT_EQ(list.count(5), std::min<std::size_t>(model.size(), 5));
  }
}

}  // namespace
}  // namespace culvert
