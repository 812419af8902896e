#include "session/reassembly.h"

#include <algorithm>
#include <utility>

namespace culvert::session {

Decoded<ByteView> Reassembly::add(std::uint64_t offset, ByteView bytes) {
  const std::uint64_t end = offset + bytes.size();
  if (end > limit_) return std::unexpected(DecodeError::oversize);
  if (end_ && end > *end_) return std::unexpected(DecodeError::malformed);
  highest_ = std::max(highest_, end);
  if (end <= next_) return ByteView{};
  if (offset > next_) {
    hold(offset, bytes);
    if (pieces_.size() > kMaxPieces) return std::unexpected(DecodeError::oversize);
    return ByteView{};
  }
  bytes = bytes.subspan(static_cast<std::size_t>(next_ - offset));
  next_ = end;
  return bytes;
}

// Only what is not here yet, in the gaps between the pieces.
void Reassembly::hold(std::uint64_t offset, ByteView bytes) {
  auto piece = pieces_.upper_bound(offset);
  if (piece != pieces_.begin()) {
    const auto& [start, held] = *std::prev(piece);
    const std::uint64_t covered = start + held.size();
    if (covered > offset) {
      const std::uint64_t known = std::min<std::uint64_t>(covered - offset, bytes.size());
      bytes = bytes.subspan(static_cast<std::size_t>(known));
      offset += known;
    }
  }
  while (!bytes.empty()) {
    const std::uint64_t gap = piece == pieces_.end() ? bytes.size() : piece->first - offset;
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(gap, bytes.size()));
    if (part > 0) {
      pieces_.emplace_hint(piece, offset,
                           Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(part)));
      held_ += part;
    }
    if (piece == pieces_.end()) return;
    const std::uint64_t known = std::min<std::uint64_t>(part + piece->second.size(), bytes.size());
    bytes = bytes.subspan(static_cast<std::size_t>(known));
    offset += known;
    ++piece;
  }
}

std::optional<Bytes> Reassembly::take() {
  while (!pieces_.empty() && pieces_.begin()->first <= next_) {
    auto piece = pieces_.extract(pieces_.begin());
    Bytes& bytes = piece.mapped();
    held_ -= bytes.size();
    const std::uint64_t end = piece.key() + bytes.size();
    if (end <= next_) continue;  // came again meanwhile, in order
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(next_ - piece.key()));
    next_ = end;
    return std::move(bytes);
  }
  return std::nullopt;
}

Decoded<void> Reassembly::set_end(std::uint64_t offset) {
  if (offset < highest_ || (end_ && *end_ != offset)) {
    return std::unexpected(DecodeError::malformed);
  }
  end_ = offset;
  return {};
}

}  // namespace culvert::session
