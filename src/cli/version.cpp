#include "cli/version.h"

#include "cli/commit.h"
#include "cli/output.h"
#include "net/libraries.h"
#include "quic/libraries.h"
#include "session/dialect.h"

#include <fmt/format.h>

#include <string>

namespace culvert::cli {
namespace {

// What the code was compiled with; sanitizers and -O0 say so in bug reports.
constexpr std::string_view kCompiler = CULVERT_COMPILER;

std::string version_text() {
  const quic::Libraries libraries = quic::libraries();
  return fmt::format(
      "culvert {}\n"
      "commit      {}\n"
      "compiler    {}\n"
      "libraries   ngtcp2 {}, GnuTLS {}, c-ares {}, {}\n"
      "encryption  {}\n"
      "protocols   {}, {}",
      CULVERT_VERSION, kCommit, kCompiler, libraries.ngtcp2, libraries.gnutls,
      net::c_ares_version(),
      libraries.ipsec_mb.empty() ? "no ipsec-mb" : "ipsec-mb " + libraries.ipsec_mb,
      libraries.encryption, session::alpn(session::Dialect::culvert_1),
      session::alpn(session::Dialect::mf_4));
}

void print_version_json() {
  quic::Libraries libraries = quic::libraries();
  print_json({{"version", CULVERT_VERSION},
              {"commit", kCommit},
              {"compiler", std::string(kCompiler)},
              {"ngtcp2", std::move(libraries.ngtcp2)},
              {"gnutls", std::move(libraries.gnutls)},
              {"c_ares", net::c_ares_version()},
              {"ipsec_mb", std::move(libraries.ipsec_mb)},
              {"encryption", std::move(libraries.encryption)},
              {"protocols",
               std::vector<std::string>{std::string(session::alpn(session::Dialect::culvert_1)),
                                        std::string(session::alpn(session::Dialect::mf_4))}}});
}

}  // namespace

Status cmd_version(std::span<const std::string_view> args) {
  if (args.empty()) {
    print_line(version_text());
    return {};
  }
  if (args.size() == 1 && args[0] == "--json") {
    print_version_json();
    return {};
  }
  return fail(ErrorKind::configuration, "culvert --version takes --json or nothing",
              std::string(args[0]));
}

}  // namespace culvert::cli
