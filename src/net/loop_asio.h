// The Asio half of Loop. Only net/*.cpp files that need Asio include this.
#pragma once

#include "net/loop.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace culvert::net {

struct Loop::Asio {
  Asio() : context(1), epoll(context) {}  // concurrency hint: one thread runs it

  boost::asio::io_context context;
  boost::asio::posix::stream_descriptor epoll;  // owns Loop::epoll_fd_
};

}  // namespace culvert::net
