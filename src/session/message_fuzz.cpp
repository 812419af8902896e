// Every decoder of session/ on arbitrary bytes: what is read can be written again and reads
// the same; no view leaves the input.
#include "base/assert.h"
#include "base/limits.h"
#include "session/flow_open.h"
#include "session/message.h"
#include "session/mf4_json.h"
#include "session/resume.h"
#include "session/token.h"

namespace {

using namespace culvert;
using namespace culvert::session;

void fuzz_heads(Dialect dialect, ByteView input) {
  if (const auto head = decode_flow_open(dialect, input)) {
    CULVERT_ASSERT(head->size <= input.size() && head->size <= kMaxHeadBytes + 16);
    Bytes again;
    encode_flow_open(dialect, head->value, again);
    const auto second = decode_flow_open(dialect, again);
    // JSON replaces what is no UTF-8, so only its second form is a fixed point.
    CULVERT_ASSERT(second &&
                   (dialect != Dialect::culvert_1 || second->value.source == head->value.source));
    CULVERT_ASSERT(second->value.flow_id == head->value.flow_id);
    CULVERT_ASSERT(second->value.multipath == head->value.multipath);
    CULVERT_ASSERT(second->value.resume.has_value() == head->value.resume.has_value());
    if (const auto& resume = head->value.resume) {
      CULVERT_ASSERT(resume->received == second->value.resume->received);
      CULVERT_ASSERT(resume->start == second->value.resume->start);
    }
  }
  if (const auto head = decode_flow_reply(dialect, input)) {
    CULVERT_ASSERT(head->size <= input.size());
    if (const auto* refused = std::get_if<FlowRefused>(&head->value)) {
      CULVERT_ASSERT(refused->reason.size() <= limits::kReasonBytes);
    }
    Bytes again;
    encode_flow_reply(dialect, head->value, again);
    CULVERT_ASSERT(decode_flow_reply(dialect, again)->value.index() == head->value.index());
  }
}

// Ids that were added are known, whatever came between.
void fuzz_flow_ids(ByteView input) {
  const auto ids = decode_flow_ids(input);
  if (!ids) return;
  CULVERT_ASSERT(ids->size() <= limits::kMaxGoneIds);
  SeenFlows seen(4'096);
  for (const std::uint64_t id : *ids) {
    seen.add(id);
    CULVERT_ASSERT(seen.contains(id));
  }
  for (const std::uint64_t id : *ids) CULVERT_ASSERT(seen.contains(id));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  fuzz_flow_ids(input);
  if (const auto message = decode_message(input)) {
    CULVERT_ASSERT(message->size <= size && message->fields.size() <= Message::kMaxFields);
    for (const auto& field : message->fields) {
      CULVERT_ASSERT(
          field.value.empty() ||
          (field.value.data() >= data && field.value.data() + field.value.size() <= data + size));
    }
  }
  for (const Dialect dialect : {Dialect::culvert_1, Dialect::mf_4, Dialect::mf_4_token}) {
    fuzz_heads(dialect, input);
  }
  (void)mf4::decode_auth_message(input);
  if (const auto frame = decode_datagram_frame(input)) CULVERT_ASSERT(frame->size <= size);
  if (const auto header = decode_datagram_header(input)) {
    CULVERT_ASSERT(header->size <= size && datagram_header(header->value).size <= header->size);
  }
  (void)TokenSet::parse(as_text(input), "fuzz");
  return 0;
}
