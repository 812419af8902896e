// Files of keys: whatever is accepted, its printed form is accepted too, as the same key.
#include "base/assert.h"
#include "crypto/key_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace culvert;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto key = crypto::parse_secret_key(text, "fuzz")) {
    const auto again = crypto::parse_secret_key(crypto::format_identity_file(*key, "now"), "again");
    CULVERT_ASSERT(again && again->seed() == key->seed());
  }
  (void)crypto::AuthorizedKeys::parse(text, "fuzz");
  if (const auto id = crypto::PublicKey::parse(text)) {
    CULVERT_ASSERT(crypto::PublicKey::parse(id->text()) == *id);
    const auto keys = crypto::AuthorizedKeys::parse(
        crypto::openssh_text(*id) + "\n" + crypto::tunnel_rs_text(*id), "again");
    CULVERT_ASSERT(keys && keys->size() == 1 && keys->lookup(*id));
  }
  return 0;
}
