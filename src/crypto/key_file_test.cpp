#include "crypto/key_file.h"

#include "base/encoding.h"
#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::crypto {
namespace {

// Made with ssh-keygen for this test; they open nothing.
constexpr std::string_view kOpensshKey = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACALcffKs+bJe5/T1clCjnrAFI8EYKmMRYxe7mxlejvI/wAAAJB5fnVleX51
ZQAAAAtzc2gtZWQyNTUxOQAAACALcffKs+bJe5/T1clCjnrAFI8EYKmMRYxe7mxlejvI/w
AAAECYCH/Nyeqpfy4xdgKPV8rf89f65ALL4VO+phM/oZ6nIAtx98qz5sl7n9PVyUKOesAU
jwRgqYxFjF7ubGV6O8j/AAAADWFsaWNlQGV4YW1wbGU=
-----END OPENSSH PRIVATE KEY-----
)";
constexpr std::string_view kOpensshPublic =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAtx98qz5sl7n9PVyUKOesAUjwRgqYxFjF7ubGV6O8j/ "
    "alice@example";
constexpr std::string_view kOpensshEncrypted = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBMBXzQSl
7DEqjU2qvnAVnGAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIOpnARNaWvb1fIaz
0cT/DC0nyx9SJWpXyREHCFqRmUPLAAAAkJ3tIHMzXa+ZFipNwyrhOoeionYttl3o/mtYY+
vGwHlaFYpHtEQKH7mlUfhBQ6J4ofD12fDC8PpGqUuGPJ3b88QzX3axl7M2zxgKzMCwHbJ3
Bh90KS7dWY70vPuNhhVObd/Sukx3WCkn288MHbaCEwpgbgXI+eliYgn4aYp2vHI1U+aeXR
nFGmYtH5+86gC4fg==
-----END OPENSSH PRIVATE KEY-----
)";
constexpr std::string_view kOpensshRsa = R"(-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAlwAAAAdzc2gtcn
NhAAAAAwEAAQAAAIEAv6nuRK7AekKYBxP1pLtOIN8lx35isSwW2IljSOePwJ424lMZ3sxK
haJV4R7/q18tMRW+BZee97Kp0LfqC31PheCoMsbe2B0SqLAEdQ4624t49mtiy3CVT28URR
ev/J3sLRZcWVRkSUT1zSNOgzPcfYEbpynWjuYakVbiJlOEKjMAAAIAkm3psZJt6bEAAAAH
c3NoLXJzYQAAAIEAv6nuRK7AekKYBxP1pLtOIN8lx35isSwW2IljSOePwJ424lMZ3sxKha
JV4R7/q18tMRW+BZee97Kp0LfqC31PheCoMsbe2B0SqLAEdQ4624t49mtiy3CVT28URRev
/J3sLRZcWVRkSUT1zSNOgzPcfYEbpynWjuYakVbiJlOEKjMAAAADAQABAAAAgFfp7VXpxn
YOB8fvWtSF6e9gC+c2zLQx4gTO+BCfzqtupwQnVA2DLYegj73kRyfnT0Zdj7zm8E7zz7ri
MWO1xfx5rKvo6iYNaQe6LGAF4dFnRA6ivUJ4viNcHqhAjWxWPhdaZJhQn3Khob0sbtkJPZ
pn6Em13lHWNz8dbS1A3UEpAAAAQHQoNyRS4zSr8mDpeymbBQinWLP4cwkNSnbC7cKDkDI9
TBA0E6HJP2C5JMOU8iKPz6UhrQw6JBOXpeN3zDrPgdkAAABBAPIo6+EfRQD/yEXWQ23/Fk
+RamFvz6LtG+UQiq3po70FxXYY1b3il/aPgo4n7PbCGUIRaXP4+R+rWN9gkI7cTi8AAABB
AMqeMZF/tpuxrqDek3BOgwNCsd5mLY/6lZt9QdDqQGxhVkH7vChwaVQEWavp8uaVW3zIow
y4XTLcE/hO9/Lxxz0AAAAHcm9vdEB2bQECAwQ=
-----END OPENSSH PRIVATE KEY-----
)";

std::array<std::uint8_t, 32> filled(std::uint8_t value) {
  std::array<std::uint8_t, 32> bytes{};
  bytes.fill(value);
  return bytes;
}

std::string error_of(std::string_view text) {
  const auto parsed = parse_secret_key(text, "server.key");
  EXPECT_FALSE(parsed) << text;
  return parsed ? "" : parsed.error().text();
}

TEST(KeyFile, reads_every_form_of_a_secret_key) {
  const SecretKey key = SecretKey::from_seed(filled(0x2a));
  const std::string forms[] = {
      base64_encode(key.seed()),
      "ed25519-sec:KioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKio",
      hex_encode(key.seed()),
      "# a comment\n\n   " + base64_encode(key.seed()) + "  \r\n# more\n",
      format_identity_file(key, "2026-01-01T00:00:00Z"),
      format_auth_key_file(key, "2026-01-01T00:00:00Z", "laptop"),
  };
  for (const std::string& form : forms) {
    const auto parsed = parse_secret_key(form, "file");
    ASSERT_TRUE(parsed) << form << parsed.error().text();
    EXPECT_EQ(parsed->seed(), key.seed());
  }
}

TEST(KeyFile, reads_what_ssh_keygen_writes) {
  const auto key = parse_secret_key(kOpensshKey, "id_ed25519");
  ASSERT_TRUE(key) << key.error().text();
  const auto keys = AuthorizedKeys::parse(kOpensshPublic, "authorized_keys");
  ASSERT_TRUE(keys) << keys.error().text();
  EXPECT_EQ(keys->lookup(key->public_key()), "alice@example");
  EXPECT_TRUE(kOpensshPublic.starts_with(openssh_text(key->public_key())));
}

TEST(KeyFile, says_what_is_wrong_with_a_key) {
  EXPECT_NE(error_of("").find("holds no key"), std::string::npos);
  EXPECT_NE(error_of("# only a comment\n").find("holds no key"), std::string::npos);
  EXPECT_NE(error_of("hello").find("server.key:1: not a secret key"), std::string::npos);
  EXPECT_NE(error_of("# x\nQUFB").find("server.key:2: the key has 3 bytes"), std::string::npos);
  const std::string good = base64_encode(filled(1));
  EXPECT_NE(error_of(good + "\n" + good).find("server.key:2: a second key"), std::string::npos);
  EXPECT_NE(error_of(kOpensshEncrypted).find("encrypted"), std::string::npos);
  EXPECT_NE(error_of(kOpensshRsa).find("ssh-keygen -t ed25519"), std::string::npos);
  EXPECT_NE(error_of(kOpensshKey.substr(0, 200)).find("no END line"), std::string::npos);
  EXPECT_NE(error_of(std::string(limits::kMaxKeyFileBytes + 1, 'A')).find("too large"),
            std::string::npos);
  // The message never holds the key.
  EXPECT_EQ(error_of("ed25519-sec:" + std::string(42, 'S')).find("SSSS"), std::string::npos);
}

TEST(KeyFile, survives_every_truncation_of_an_openssh_key) {
  for (std::size_t size = 0; size < kOpensshKey.size() - 1; ++size) {
    std::string text(kOpensshKey.substr(0, size));
    text += "\n-----END OPENSSH PRIVATE KEY-----\n";
    if (size < kOpensshKey.size() - 36) {
      EXPECT_FALSE(parse_secret_key(text, "cut")) << size;
    } else {
      (void)parse_secret_key(text, "cut");  // only padding or the END line is missing
    }
  }
}

TEST(AuthorizedKeys, reads_every_form_with_comments) {
  const PublicKey a = SecretKey::from_seed(filled(1)).public_key();
  const PublicKey b = SecretKey::from_seed(filled(2)).public_key();
  const PublicKey c = SecretKey::from_seed(filled(3)).public_key();
  const auto keys = AuthorizedKeys::parse("# who\n" + tunnel_rs_text(a) + " alice's laptop\n\n" +
                                              openssh_text(b) + " bob@host\r\n" + c.text() + "\n" +
                                              a.text() + " later wins\n",
                                          "keys");
  ASSERT_TRUE(keys) << keys.error().text();
  EXPECT_EQ(keys->size(), 3U);
  EXPECT_EQ(keys->lookup(a), "later wins");
  EXPECT_EQ(keys->lookup(b), "bob@host");
  EXPECT_EQ(keys->lookup(c), "");
  EXPECT_EQ(keys->lookup(SecretKey::from_seed(filled(4)).public_key()), std::nullopt);
}

// As a file of ~/.ssh is that somebody has used for years.
TEST(AuthorizedKeys, passes_over_keys_of_other_types) {
  const PublicKey key = SecretKey::from_seed(filled(1)).public_key();
  const auto keys = AuthorizedKeys::parse(
      "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC/qe5ErsB6QpgHE/Wku04g me@home\n" + openssh_text(key) +
          "\nfrom=\"10.0.0.0/8\",no-pty ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHA=\n"
          "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t\n",
      "keys");
  ASSERT_TRUE(keys) << keys.error().text();
  EXPECT_EQ(keys->size(), 1U);
  EXPECT_TRUE(keys->lookup(key));
  ASSERT_EQ(keys->passed_over().size(), 3U);
  EXPECT_EQ(keys->passed_over()[0].place, "keys:1");
  EXPECT_EQ(keys->passed_over()[0].type, "ssh-rsa");
  EXPECT_EQ(keys->passed_over()[1].type, "ecdsa-sha2-nistp256");
  EXPECT_EQ(keys->passed_over()[2].type, "sk-ssh-ed25519@openssh.com");
  // A comment says what it likes.
  const auto commented =
      AuthorizedKeys::parse(tunnel_rs_text(key) + " was ssh-rsa AAAAB3\n", "keys");
  ASSERT_TRUE(commented);
  EXPECT_TRUE(commented->lookup(key));
}

TEST(AuthorizedKeys, names_the_line_it_cannot_honour) {
  const std::string good = openssh_text(SecretKey::from_seed(filled(1)).public_key());
  for (const std::string& bad :
       {"command=\"ls\" " + good, std::string("ssh-ed25519"), good.substr(0, 40),
        std::string("ed25519-pub:short"), std::string("nonsense"),
        "ed25519-sec:" + base64url_encode(filled(1))}) {
    const auto keys = AuthorizedKeys::parse(good + "\n" + bad + "\n", "keys");
    ASSERT_FALSE(keys) << bad;
    EXPECT_TRUE(keys.error().text().starts_with("keys:2: ")) << keys.error().text();
  }
}

}  // namespace
}  // namespace culvert::crypto
