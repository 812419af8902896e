// What protecting one QUIC packet costs, by backend: sealing, opening and the header mask,
// with AES-128-GCM, on one core, in place, with keys and data in cache.
// Prints a table of nanoseconds per packet; each figure is the fastest of several runs, since
// other work on the machine only ever adds time. Takes a few seconds.
#include "base/bytes.h"
#include "quic/ipsec_mb.h"

#include <fmt/format.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace culvert::bench {
namespace {

constexpr std::size_t kTagSize = quic::ipsec_mb::kTagSize;
constexpr std::array<std::uint8_t, 16> kKey{1, 2, 3};
constexpr std::array<std::uint8_t, 12> kNonce{4, 5, 6};
constexpr std::array<std::uint8_t, 13> kAad{0x41};  // a short header with an 8-byte id

constexpr std::size_t kSizes[] = {64, 1'420, 65'000};  // keep-alive, Internet, loopback
constexpr int kRuns = 7;
constexpr std::size_t kBytesPerRun = 16'000'000;
constexpr std::size_t kMaxCallsPerRun = 100'000;

// What one packet costs in nanoseconds when `call` is repeated; stops the program when it
// reports failure, because such a figure would mean nothing.
template <typename Call>
double measure(std::size_t bytes, Call&& call) {
  using Clock = std::chrono::steady_clock;
  const std::size_t calls = std::min(kBytesPerRun / bytes, kMaxCallsPerRun);
  double best = 1e18;
  for (int run = 0; run < kRuns; ++run) {
    const Clock::time_point start = Clock::now();
    for (std::size_t i = 0; i < calls; ++i) {
      if (!call()) {
        fmt::print(stderr, "protection_bench: a call failed\n");
        std::exit(1);
      }
    }
    const std::chrono::duration<double, std::nano> elapsed = Clock::now() - start;
    best = std::min(best, elapsed.count() / static_cast<double>(calls));
  }
  return best;
}

struct Costs {
  std::array<double, std::size(kSizes)> seal{};
  std::array<double, std::size(kSizes)> open{};
  double mask = 0;
};

// Sealing in place changes the buffer, which does not matter. Opening must find the same
// packet each time, so it writes elsewhere, as ngtcp2 does.
template <typename Seal, typename Open, typename Mask>
Costs measure_all(Seal&& seal, Open&& open, Mask&& mask) {
  Costs costs;
  for (std::size_t i = 0; i < std::size(kSizes); ++i) {
    const std::size_t size = kSizes[i];
    Bytes packet(size + kTagSize, 0x5a);
    Bytes plaintext(size);
    costs.seal[i] = measure(size, [&] { return seal(packet.data(), size); });
    costs.open[i] = measure(size, [&] { return open(plaintext.data(), packet); });
  }
  // Each mask is the next sample: latency, as a packet's header waits for its mask.
  std::array<std::uint8_t, quic::ipsec_mb::kBlockSize> block{7};
  costs.mask = measure(block.size(), [&] { return mask(block.data()); });
  return costs;
}

Costs measure_gnutls() {
  const ngtcp2_crypto_aead aead{.native_handle = reinterpret_cast<void*>(GNUTLS_CIPHER_AES_128_GCM),
                                .max_overhead = kTagSize};
  const ngtcp2_crypto_cipher cipher{.native_handle =
                                        reinterpret_cast<void*>(GNUTLS_CIPHER_AES_128_CBC)};
  ngtcp2_crypto_aead_ctx context{};
  const gnutls_datum_t key{const_cast<unsigned char*>(kKey.data()), kKey.size()};
  gnutls_cipher_hd_t handle = nullptr;
  if (ngtcp2_crypto_aead_ctx_encrypt_init(&context, &aead, kKey.data(), kNonce.size()) != 0 ||
      gnutls_cipher_init(&handle, GNUTLS_CIPHER_AES_128_CBC, &key, nullptr) != 0) {
    fmt::print(stderr, "protection_bench: GnuTLS has no AES-128\n");
    std::exit(1);
  }
  const ngtcp2_crypto_cipher_ctx header_key{.native_handle = handle};
  const Costs costs = measure_all(
      [&](std::uint8_t* data, std::size_t size) {
        return ngtcp2_crypto_encrypt_cb(data, &aead, &context, data, size, kNonce.data(),
                                        kNonce.size(), kAad.data(), kAad.size()) == 0;
      },
      [&](std::uint8_t* dest, const Bytes& packet) {
        return ngtcp2_crypto_decrypt_cb(dest, &aead, &context, packet.data(), packet.size(),
                                        kNonce.data(), kNonce.size(), kAad.data(),
                                        kAad.size()) == 0;
      },
      [&](std::uint8_t* block) {
        return ngtcp2_crypto_hp_mask_cb(block, &cipher, &header_key, block) == 0;
      });
  ngtcp2_crypto_aead_ctx_free(&context);
  gnutls_cipher_deinit(handle);
  return costs;
}

Costs measure_ipsec_mb() {
  using namespace quic::ipsec_mb;
  const GcmKeyPtr key = make_gcm_key(kKey);
  const HeaderKeyPtr header_key = make_header_key(kKey);
  return measure_all(
      [&](std::uint8_t* data, std::size_t size) {
        encrypt(*key, data, {data, size}, kNonce, kAad);
        return true;
      },
      [&](std::uint8_t* dest, const Bytes& packet) {
        return decrypt(*key, dest, packet, kNonce, kAad);
      },
      [&](std::uint8_t* block) {
        mask(*header_key, block, Sample(block, kBlockSize));
        return true;
      });
}

void print(std::string_view name, const Costs& costs) {
  const auto gigabits = [](std::size_t size, double nanoseconds) {
    return static_cast<double>(size) * 8 / nanoseconds;
  };
  for (std::size_t i = 0; i < std::size(kSizes); ++i) {
    fmt::print("{:<9} {:>7} {:>10.1f} {:>10.1f} {:>12.1f} {:>12.1f} {:>9.1f}\n", name, kSizes[i],
               costs.seal[i], costs.open[i], gigabits(kSizes[i], costs.seal[i]),
               gigabits(kSizes[i], costs.open[i]), costs.mask);
  }
}

}  // namespace
}  // namespace culvert::bench

int main() {
  using namespace culvert;
  fmt::print("{:<9} {:>7} {:>10} {:>10} {:>12} {:>12} {:>9}\n", "backend", "bytes", "seal ns",
             "open ns", "seal Gbit/s", "open Gbit/s", "mask ns");
  bench::print("gnutls", bench::measure_gnutls());
  if (!quic::ipsec_mb::is_available()) {
    fmt::print("ipsec_mb  not in this build or not on this CPU\n");
    return 0;
  }
  bench::print("ipsec_mb", bench::measure_ipsec_mb());
  return 0;
}
