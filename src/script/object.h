/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet object: what a rule sees of a packet. Internal to script/.
 *
 * Two kinds behind one metatable. A view borrows a struct packet of the data
 * path for the length of one call: the same userdata each time, so that
 * nothing is allocated; afterwards it answers every access with the error
 * "this packet is gone: it was only valid inside the call that got it".
 * An owned packet (clone, reply, packet{}) carries its bytes and lives as
 * long as Lua keeps it. pkt.ip, pkt.tcp, ... are cached sub-objects of the
 * same kind.
 */
#ifndef SLUICE_SCRIPT_OBJECT_H
#define SLUICE_SCRIPT_OBJECT_H

#include <lua.h>

#include "packet/packet.h"

/* Called with a packet whose uplink is not known yet; see script_host. */
struct object_env {
	void (*resolve)(struct packet *p, void *arg);
	void *arg;
};

/* The view of a state: the same one for every call, as long as no rule can
 * have kept it. */
struct object_view {
	struct object *object;
	int ref;   /* in the registry */
	bool kept; /* somebody may hold it: the next call needs another */
};

/* Registers the metatables and the global packet(), and makes the view. env
 * is kept. */
void object_open(lua_State *L, const struct object_env *env,
		 struct object_view *view);

/* Makes another view: what holds the old one keeps a packet that is gone. May
 * raise for lack of memory; then the old one stays, and stays kept. */
void object_renew_view(lua_State *L, struct object_view *view);

/* Pushes the view and points it at p. Allocates nothing. */
void object_push_view(lua_State *L, const struct object_view *view,
		      struct packet *p);

/* Ends the view: reset after each call. Cheap, cannot raise. */
void object_end_view(const struct object_view *view);

/* The packet at stack index i, or raises a Lua error naming what was there.
 * Valid while the object is. */
struct packet *object_check(lua_State *L, int i);

/* The same without raising: NULL if it is no (live) packet. */
struct packet *object_test(lua_State *L, int i);

/* Pushes an owned packet, a copy of p. Raises. */
struct packet *object_push_copy(lua_State *L, const struct packet *p);

/* ns after which the packet at i is to be sent; 0: at once, or no packet. */
int64_t object_delay(lua_State *L, int i);

/* The source port that was drawn for the packet at i when it was built; 0:
 * its author chose one. */
uint16_t object_drawn_port(lua_State *L, int i);

#endif
