/* version.h: the Redis version whose behaviour we answer with (INFO, HELLO, RDB headers). */
#pragma once
#define REDIS_VERSION "7.2.4"
