// Files behind DebugOptions: qlog per connection, and the NSS key log. Private to app/.
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "base/result.h"
#include "quic/config.h"

namespace culvert::app {

// Sinks for one worker: it calls them from its own thread. Empty functions where the
// options ask for nothing. Says in the log that secrets are being written.
struct DebugSinks {
  quic::KeyLogSink key_log;
  quic::QlogSink qlog;

  [[nodiscard]] static Result<DebugSinks> open(const DebugOptions& options, Logger& log);
};

}  // namespace culvert::app
