#include "control/counters.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace culvert::control {
namespace {

TEST(Counters, each_has_one_row_and_is_summed) {
  Counters part;
  std::uint64_t next = 1;
  for (const CounterRow& row : counter_rows()) {
    EXPECT_EQ(part.*row.value, 0U) << row.name << ": of another row, too";
    part.*row.value = next++;
  }
  Counters sum;
  add(sum, part);
  add(sum, part);
  for (const CounterRow& row : counter_rows()) {
    EXPECT_EQ(sum.*row.value, 2 * (part.*row.value)) << row.name;
  }
}

TEST(Counters, names_are_unique_and_rows_of_a_metric_stand_together) {
  std::set<std::string_view> names;
  std::set<std::string> samples;
  std::set<std::string_view> metrics;
  std::string_view before;
  for (const CounterRow& row : counter_rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(samples.insert(std::string(row.metric) + '{' + std::string(row.label)).second);
    if (row.metric == before) continue;
    before = row.metric;
    EXPECT_TRUE(metrics.insert(row.metric).second) << row.metric << " in two places";
    EXPECT_FALSE(row.help.empty()) << row.metric;
  }
}

}  // namespace
}  // namespace culvert::control
