/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By which cgroups senders are told apart: one of our own for a command, and
 * those that rules name, which come and go with the services in them. Must
 * not know how the kernel is asked.
 */
#include "capture/internal.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "rule/plan.h"

/* A service that is started again has another cgroup of the same name. */
#define LOOK_EVERY NSEC_PER_SEC

/* Differs when a cgroup that a rule names has come or gone. */
static uint64_t picture(const struct capture *c)
{
	const struct plan *p = c->cfg.plan;
	struct cgroup_place place;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < p->steps; i++)
		for (uint32_t k = 0; k < p->step[i].terms; k++) {
			const struct plan_term *t = &p->step[i].term[k];

			if (t->kind != TERM_CGROUP)
				continue;
			cgroup_find(c->how.cgroups, t->text, &place);
			sum = sum * UINT64_C(0x9e3779b97f4a7c15) + place.id;
		}
	return sum;
}

int senders_open(struct capture *c, struct error *err)
{
	struct error why;
	int r = 0;

	if (c->cfg.only) {
		r = cgroup_make(&c->cgroup, &why);
		if (r)
			return error_set(err, r, "--only: %s", why.text);
		c->how.only = c->cgroup.place;
		c->how.only_path = c->cgroup.path;
	}
	if (!plan_asks_cgroup(c->cfg.plan))
		return 0;
	r = cgroup_root(&why);
	if (r < 0)
		return error_set(err, r, "cgroup in a match: %s", why.text);
	c->how.cgroups = r;
	c->senders = picture(c);
	c->senders_at = clock_monotonic() + LOOK_EVERY;
	return 0;
}

int senders_close(struct capture *c, struct error *err)
{
	if (c->how.cgroups >= 0)
		close(c->how.cgroups);
	c->how.cgroups = -1;
	return cgroup_remove(&c->cgroup, err);
}

int senders_handle(struct capture *c, struct error *err)
{
	uint64_t now;

	if (senders_timeout(c))
		return 0;
	c->senders_at = clock_monotonic() + LOOK_EVERY;
	now = picture(c);
	if (now == c->senders)
		return 0;
	c->senders = now;
	return c->up ? nft_change(c->nft, &c->how, err) : 0;
}

int64_t senders_timeout(const struct capture *c)
{
	int64_t left = c->senders_at - clock_monotonic();

	if (c->how.cgroups < 0)
		return -1;
	return left > 0 ? left : 0;
}

int capture_join(const struct capture *c)
{
	return c->cfg.only ? cgroup_join(&c->cgroup) : 0;
}
