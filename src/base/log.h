/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said to a person: one line each, on standard error.
 * An error says what was being done, what was wrong and what to do, and is
 * printed once, where it is decided what to do about it.
 */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdarg.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Longest line, its end included; a longer one is cut. */
#define LOG_LINE_MAX 1024

/* Room for an error text that a function hands to its caller. */
#define ERROR_MAX 512
struct error {
	char text[ERROR_MAX];
};

/*
 * Fills err (which may be NULL) and returns code, so that a function can say
 * "return error_set(err, -EINVAL, ...)". The first text wins only if the
 * caller did not write: this always overwrites.
 */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes one line: "sluice: TEXT". Control characters become '?'. */
void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Lines above this level are not written; LOG_INFO at the start. */
void log_threshold(enum log_level level);

/*
 * Sends lines to f instead of standard error (the worker hands them to the
 * supervisor); NULL restores standard error. text has no newline.
 */
void log_sink(void (*f)(enum log_level level, const char *text, void *arg),
	      void *arg);

#endif
