#include "admin/counters.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace culvert::admin {
namespace {

template <typename Owner>
class CounterTable : public ::testing::Test {};
using Owners = ::testing::Types<drive::Counters, drive::TunnelCounters, quic::ConnectionStats,
                                session::AuthMetrics, SessionCounters, AuditInfo, ControlCounters>;
TYPED_TEST_SUITE(CounterTable, Owners);

Number as(Number like, std::uint64_t value) {
  if (std::holds_alternative<double>(like)) return static_cast<double>(value);
  return value;
}

// With the static_assert beside each table: every member has one row, and every row one member.
TYPED_TEST(CounterTable, has_a_row_of_its_own_for_each_member) {
  TypeParam owner{};
  std::uint64_t next = 1;
  for (const CounterRow<TypeParam>& row : counter_rows<TypeParam>()) {
    if (row.field.write == nullptr) continue;
    const Number before = row.field.read(owner);
    EXPECT_EQ(before, as(before, 0)) << row.name << row.metric << ": of another row, too";
    row.field.write(owner, as(before, next++));
  }
  next = 1;
  for (const CounterRow<TypeParam>& row : counter_rows<TypeParam>()) {
    if (row.field.write == nullptr) continue;
    const Number after = row.field.read(owner);
    EXPECT_EQ(after, as(after, next++)) << row.name << row.metric;
  }
}

TYPED_TEST(CounterTable, is_summed_row_by_row) {
  TypeParam part{};
  for (const CounterRow<TypeParam>& row : counter_rows<TypeParam>()) {
    if (row.field.write != nullptr) row.field.write(part, as(row.field.read(part), 21));
  }
  TypeParam sum{};
  add(sum, part);
  add(sum, part);
  for (const CounterRow<TypeParam>& row : counter_rows<TypeParam>()) {
    if (row.field.write == nullptr) continue;
    EXPECT_EQ(row.field.read(sum), as(row.field.read(sum), 42)) << row.name << row.metric;
  }
}

TYPED_TEST(CounterTable, names_each_number_once_and_keeps_a_metric_together) {
  std::set<std::string_view> names;
  std::set<std::string> samples;
  std::set<std::string_view> metrics;
  std::string_view before;
  for (const CounterRow<TypeParam>& row : counter_rows<TypeParam>()) {
    EXPECT_FALSE(row.name.empty() && row.metric.empty()) << "seen by nobody";
    EXPECT_TRUE(row.name.empty() || names.insert(row.name).second) << row.name;
    if (row.metric.empty()) continue;
    EXPECT_TRUE(samples.insert(std::string(row.metric) + '{' + std::string(row.label)).second);
    if (row.metric == before) continue;
    before = row.metric;
    EXPECT_TRUE(metrics.insert(row.metric).second) << row.metric << " in two places";
    EXPECT_FALSE(row.help.empty()) << row.metric;
  }
}

TYPED_TEST(CounterTable, says_the_unit_in_the_name) {
  for (const CounterRow<TypeParam>& row : counter_rows<TypeParam>()) {
    for (const std::string_view name : {row.name, row.metric}) {
      if (name.empty()) continue;
      EXPECT_EQ(name.find("bytes") != name.npos, row.unit == CounterUnit::bytes) << name;
      EXPECT_EQ(name.find("seconds") != name.npos, row.unit == CounterUnit::seconds) << name;
    }
    if (!row.metric.empty()) {
      EXPECT_EQ(row.metric.ends_with("_total"), row.kind == CounterKind::counter) << row.metric;
    }
  }
}

TEST(Counters, are_all_in_their_document) {
  const std::string text = counters_markdown();
  for (const CounterRow<drive::Counters>& row : counter_rows<drive::Counters>()) {
    EXPECT_NE(text.find('`' + std::string(row.name) + '`'), text.npos) << row.name;
  }
}

}  // namespace
}  // namespace culvert::admin
