#include "crypto/key_file.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/trimmed.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace culvert::crypto {
namespace {

constexpr std::string_view kSecretPrefix = "ed25519-sec:";
constexpr std::string_view kPublicPrefix = "ed25519-pub:";
constexpr std::string_view kOpensshType = "ssh-ed25519";
constexpr std::string_view kPemBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kPemEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kOpensshMagic{"openssh-key-v1\0", 15};

struct Line {
  std::size_t number;
  std::string_view text;
};

// Lines that say something: trimmed, without blank ones and comments.
std::vector<Line> significant_lines(std::string_view text) {
  std::vector<Line> lines;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    if (!line.empty() && line.front() != '#') lines.push_back({number, line});
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string at_line(std::string_view origin, std::size_t number) {
  return fmt::format("{}:{}", origin, number);
}

Result<SecretKey> key_from(ByteView bytes, std::string offender) {
  if (bytes.size() != SecretKey::kSize) {
    return fail(ErrorKind::configuration,
                fmt::format("the key has {} bytes instead of 32", bytes.size()),
                std::move(offender));
  }
  std::array<std::uint8_t, SecretKey::kSize> seed{};
  std::ranges::copy(bytes, seed.begin());
  const WipedAtEnd wiped(seed);
  return SecretKey::from_seed(seed);
}

// SSH wire strings: u32 length, then bytes (RFC 4251 5).
Decoded<ByteView> ssh_string(ByteReader& reader) {
  const auto size = reader.u32();
  if (!size) return std::unexpected(size.error());
  return reader.take(*size);
}

// Where PROTOCOL.key's layout was left; the fields before the private section.
struct OpensshContainer {
  std::string_view cipher;
  ByteView private_section;
};

Decoded<OpensshContainer> read_container(ByteView bytes) {
  ByteReader reader(bytes);
  const auto magic = reader.take(kOpensshMagic.size());
  if (!magic) return std::unexpected(magic.error());
  if (as_text(*magic) != kOpensshMagic) return std::unexpected(DecodeError::malformed);
  const auto cipher = ssh_string(reader);
  if (!cipher) return std::unexpected(cipher.error());
  const auto kdf = ssh_string(reader);
  if (!kdf) return std::unexpected(kdf.error());
  const auto kdf_options = ssh_string(reader);
  if (!kdf_options) return std::unexpected(kdf_options.error());
  const auto count = reader.u32();
  if (!count) return std::unexpected(count.error());
  if (*count != 1) return std::unexpected(DecodeError::unsupported);
  const auto public_key = ssh_string(reader);
  if (!public_key) return std::unexpected(public_key.error());
  const auto private_section = ssh_string(reader);
  if (!private_section) return std::unexpected(private_section.error());
  return OpensshContainer{as_text(*cipher), *private_section};
}

// check u32 twice, "ssh-ed25519", public (32), seed || public (64), comment, padding.
Decoded<ByteView> read_seed(ByteView section) {
  ByteReader reader(section);
  const auto first_check = reader.u32();
  const auto second_check = reader.u32();
  if (!first_check || !second_check) return std::unexpected(DecodeError::truncated);
  if (*first_check != *second_check) return std::unexpected(DecodeError::malformed);
  const auto type = ssh_string(reader);
  if (!type) return std::unexpected(type.error());
  if (as_text(*type) != kOpensshType) return std::unexpected(DecodeError::unsupported);
  const auto public_key = ssh_string(reader);
  if (!public_key) return std::unexpected(public_key.error());
  const auto pair = ssh_string(reader);
  if (!pair) return std::unexpected(pair.error());
  if (pair->size() != 2 * SecretKey::kSize) return std::unexpected(DecodeError::malformed);
  return pair->first(SecretKey::kSize);
}

Result<SecretKey> parse_openssh(std::string_view text, std::string_view origin) {
  const std::string offender(origin);
  const std::size_t begin = text.find(kPemBegin) + kPemBegin.size();
  const std::size_t end = text.find(kPemEnd, begin);
  if (end == std::string_view::npos) {
    return fail(ErrorKind::configuration, "the OpenSSH key has no END line: is it cut off?",
                offender);
  }
  std::string base64;
  base64.reserve(end - begin);  // in one place, to be wiped
  const WipedAtEnd wiped_text(base64);
  for (const char c : text.substr(begin, end - begin)) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') base64.push_back(c);
  }
  auto bytes = base64_decode(base64);
  if (!bytes) return fail(ErrorKind::configuration, "the OpenSSH key is not base64", offender);
  const WipedAtEnd wiped(*bytes);
  const auto container = read_container(*bytes);
  if (!container) {
    return fail(ErrorKind::configuration,
                fmt::format("the OpenSSH key is {}", to_string(container.error())), offender);
  }
  if (container->cipher != "none") {
    return fail(ErrorKind::configuration,
                "the OpenSSH key is encrypted; write a copy without passphrase with "
                "'ssh-keygen -p -N \"\" -f COPY'",
                offender);
  }
  const auto seed = read_seed(container->private_section);
  if (!seed) {
    return fail(ErrorKind::configuration,
                seed.error() == DecodeError::unsupported
                    ? "the OpenSSH key is not of type ssh-ed25519; make one with "
                      "'ssh-keygen -t ed25519'"
                    : "the OpenSSH key is damaged",
                offender);
  }
  return key_from(*seed, offender);
}

Result<PublicKey> parse_openssh_public(std::string_view base64, std::string offender) {
  const auto bytes = base64_decode(base64);
  if (bytes) {
    ByteReader reader(*bytes);
    const auto type = ssh_string(reader);
    const auto key = type ? ssh_string(reader) : type;
    if (key && as_text(*type) == kOpensshType && key->size() == PublicKey::kSize &&
        reader.is_empty()) {
      return PublicKey::from_bytes(*key);
    }
  }
  return fail(ErrorKind::configuration, "the ssh-ed25519 key is damaged", std::move(offender));
}

// The key at the start of a line, and what follows it.
struct KeyAndComment {
  PublicKey key;
  std::string_view comment;
};

// The type of an OpenSSH key that is none of ours, options in front or not; else empty. Its data
// begin with the length of the type, which is AAAA in base64.
std::string_view other_openssh_type(std::string_view line) {
  const std::size_t data = line.find(" AAAA");
  if (data == std::string_view::npos) return {};
  const std::string_view head = line.substr(0, data);
  const std::string_view type = head.substr(head.find_last_of(" \t") + 1);  // npos + 1 is 0
  const bool is_type =
      type.starts_with("ssh-") || type.starts_with("ecdsa-") || type.starts_with("sk-");
  return is_type && type != kOpensshType ? type : std::string_view{};
}

Result<KeyAndComment> parse_public_line(std::string_view line, const std::string& offender) {
  const std::size_t space = line.find_first_of(" \t");
  const std::string_view word = line.substr(0, space);
  std::string_view rest = space == std::string_view::npos ? "" : trimmed(line.substr(space));
  if (word.starts_with(kPublicPrefix)) {
    const auto bytes = base64url_decode(word.substr(kPublicPrefix.size()));
    if (!bytes || bytes->size() != PublicKey::kSize) {
      return fail(ErrorKind::configuration,
                  "the key behind ed25519-pub: is damaged (43 characters of base64url)", offender);
    }
    CULVERT_TRY(const PublicKey key, PublicKey::from_bytes(*bytes));
    return KeyAndComment{key, rest};
  }
  if (word == kOpensshType) {
    const std::size_t end = rest.find_first_of(" \t");
    CULVERT_TRY(const PublicKey key, parse_openssh_public(rest.substr(0, end), offender));
    return KeyAndComment{key, end == std::string_view::npos ? "" : trimmed(rest.substr(end))};
  }
  if (auto key = PublicKey::parse(word)) return KeyAndComment{*key, rest};
  if (const std::string_view type = other_openssh_type(line); !type.empty()) {
    return fail(ErrorKind::configuration,
                fmt::format("keys of type {} are not supported: only ssh-ed25519", type), offender);
  }
  if (line.find(kOpensshType) != std::string_view::npos) {
    return fail(ErrorKind::configuration,
                "options in front of a key are not supported: remove them", offender);
  }
  return fail(ErrorKind::configuration,
              "not a public key (ed25519-pub:..., ssh-ed25519 ..., or 64 hex digits)", offender);
}

}  // namespace

Result<SecretKey> parse_secret_key(std::string_view text, std::string_view origin) {
  const std::string offender(origin);
  if (text.size() > limits::kMaxKeyFileBytes) {
    return fail(ErrorKind::configuration, "too large for a key file", offender);
  }
  if (text.find(kPemBegin) != std::string_view::npos) return parse_openssh(text, origin);
  const std::vector<Line> lines = significant_lines(text);
  if (lines.empty()) return fail(ErrorKind::configuration, "holds no key", offender);
  if (lines.size() > 1) {
    return fail(ErrorKind::configuration, "a second key line; one key per file",
                at_line(origin, lines[1].number));
  }
  const std::string_view line = lines[0].text;
  Decoded<Bytes> bytes = std::unexpected(DecodeError::malformed);
  if (line.starts_with(kSecretPrefix)) {
    bytes = base64url_decode(line.substr(kSecretPrefix.size()));
  } else if (line.size() == 2 * SecretKey::kSize) {
    bytes = hex_decode(line);
  } else {
    bytes = base64_decode(line);
  }
  if (!bytes) {
    return fail(ErrorKind::configuration,
                "not a secret key (base64 of 32 bytes, ed25519-sec:..., 64 hex digits, or an "
                "OpenSSH private key)",
                at_line(origin, lines[0].number));
  }
  const WipedAtEnd wiped(*bytes);
  return key_from(*bytes, at_line(origin, lines[0].number));
}

std::string format_identity_file(const SecretKey& key, std::string_view created) {
  return fmt::format(
      "# culvert server identity: keep it secret\n# Created: {}\n"
      "# EndpointId: {}\n{}\n",
      created, key.public_key().text(), base64_encode(key.seed()));
}

std::string format_auth_key_file(const SecretKey& key, std::string_view created,
                                 std::string_view comment) {
  return fmt::format(
      "# culvert authentication key: keep it secret\n# Created: {}\n"
      "# Public key: {}{}{}\n{}{}\n",
      created, tunnel_rs_text(key.public_key()), comment.empty() ? "" : " ", comment, kSecretPrefix,
      base64url_encode(key.seed()));
}

std::string tunnel_rs_text(const PublicKey& key) {
  return fmt::format("{}{}", kPublicPrefix, base64url_encode(key.bytes()));
}

std::string openssh_text(const PublicKey& key) {
  Bytes wire;
  ByteWriter writer(wire);
  writer.u32(static_cast<std::uint32_t>(kOpensshType.size()));
  writer.raw(as_bytes(kOpensshType));
  writer.u32(PublicKey::kSize);
  writer.raw(key.bytes());
  return fmt::format("{} {}", kOpensshType, base64_encode(wire));
}

Result<PublicKey> parse_public_key(std::string_view text, std::string_view origin) {
  CULVERT_TRY(const KeyAndComment parsed, parse_public_line(text, std::string(origin)));
  return parsed.key;
}

Result<AuthorizedKeys> AuthorizedKeys::parse(std::string_view text, std::string_view origin) {
  if (text.size() > limits::kMaxAuthorizedKeysBytes) {
    return fail(ErrorKind::configuration, "too large for a list of keys", std::string(origin));
  }
  AuthorizedKeys keys;
  for (const Line& line : significant_lines(text)) {
    std::string place = at_line(origin, line.number);
    const auto parsed = parse_public_line(line.text, place);
    if (const auto type = other_openssh_type(line.text); !parsed && !type.empty()) {
      keys.passed_over_.push_back({std::move(place), std::string(type)});
      continue;
    }
    if (!parsed) return std::unexpected(parsed.error());
    keys.add(parsed->key, std::string(parsed->comment));
  }
  return keys;
}

std::optional<std::string> AuthorizedKeys::lookup(const PublicKey& key) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return std::nullopt;
  return found->second;
}

}  // namespace culvert::crypto
