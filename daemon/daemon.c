/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Start: settings, own namespaces if wanted, the place of the names, the store (which refuses a second nsd), workers, the
 * manager with the records, the socket, READY. Then the manager compares records and kernel in the background; the
 * socket answers meanwhile.
 *
 * Stop: no new work is taken, what is under way ends and is answered, then everything goes down in the reverse order.
 * Namespaces and links stay.
 */
#include "config.h"

#include "daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "log.h"
#include "manager.h"
#include "message-ids.h"
#include "netns.h"
#include "notify.h"
#include "private.h"
#include "server.h"
#include "service.h"
#include "settings.h"
#include "store.h"
#include "workers.h"

#define TICK_MS 100
#define STOP_MS 5000
#define EVENTS_MS 3
#define LOOP_NICE (-10)
#define CROWD 2	       /* operations under way above which the loop has to hurry */
#define QUIET_TICKS 10 /* without a crowd until it need not any more */

enum timer { TIMER_TICK, TIMER_WATCHDOG, TIMER_STOP, TIMER_EVENTS, N_TIMERS };
enum source {
	SOURCE_TERM,
	SOURCE_INT,
	SOURCE_HUP,
	SOURCE_WORKERS,
	SOURCE_EVENTS,
	SOURCE_WATCH,
	SOURCE_SLOTS,
	N_SOURCES
};

struct daemon {
	const struct options *options;
	struct settings settings;
	struct netns_site *site;
	struct store *store;
	struct workers *workers;
	struct manager *manager;
	struct event_base *base;
	struct server *server;
	struct event *timers[N_TIMERS], *sources[N_SOURCES];
	struct binding bindings[3];
	struct dispatcher dispatcher;
	struct service service;
	char socket[256]; /* made by us; "" when inherited */
	char status[160];
	unsigned ticks, quiet_ticks;
	bool stopping, realtime;
};

/* ---- settings ---- */

static struct server_limits
limits_of(const struct settings *s)
{
	return (struct server_limits){ .connections = (unsigned)s->connections,
				       .connections_per_user = (unsigned)s->connections_per_user,
				       .idle_seconds = (unsigned)s->idle_timeout };
}

static struct manager_policy
policy_of(const struct settings *s)
{
	return (struct manager_policy){ .remake_lost = s->remake_lost == 1,
					.namespaces_per_user = (unsigned)s->namespaces_per_user,
					.links_per_user = (unsigned)s->links_per_user,
					.slots_per_user = (unsigned)s->slots_per_user,
					.acquires_per_second = (unsigned)s->acquires_per_second,
					.slots_reserved = (unsigned)s->slots_reserved,
					.grace_seconds = (unsigned)s->grace };
}

static int
load_settings(struct daemon *d, struct error *e)
{
	int err = settings_load(d->options->config, &d->settings, e);
	if (err == 0)
		log_set_level(d->options->log_level >= 0 ? d->options->log_level : d->settings.log_level);
	return err;
}

/* A refusal is logged as well as answered: the interface that asks for a reload has no error with a text. */
static int
reload(void *arg, struct error *e)
{
	struct daemon *d = arg;

	notify_reloading();
	int err = load_settings(d, e);
	if (err == 0) {
		struct server_limits limits = limits_of(&d->settings);
		struct manager_policy policy = policy_of(&d->settings);
		server_set_limits(d->server, &limits);
		manager_set_policy(d->manager, &policy);
		log_event(LOG_INFO, MESSAGE_RELOADED, NULL, "configuration read again");
	} else {
		log_event(LOG_ERR, MESSAGE_SETTINGS_REFUSED, NULL, "configuration not read again: %s", e->text);
	}
	notify_ready();
	return err;
}

/* ---- the loop ---- */

static void
update_status(struct daemon *d)
{
	struct manager_stats s = manager_stats(d->manager);
	char text[sizeof(d->status)];

	snprintf(
		text, sizeof(text),
		"%lld namespaces, %lld links, %lld networks, %lld slots leased, %lld ready, %lld lost, %lld draining%s%s",
		(long long)s.namespaces, (long long)s.links, (long long)s.networks, (long long)s.slots_leased,
		(long long)s.slots_ready, (long long)s.lost, (long long)s.draining,
		s.reconciled ? "" : "; comparing records with the kernel",
		s.writable ? "" : "; the state cannot be written");
	if (strcmp(text, d->status) == 0)
		return;
	memcpy(d->status, text, sizeof(text));
	notify_status("%s", text);
}

/*
 * The loop has to answer at once even while workers keep the kernel busy; its own work is always short. With several
 * operations under way only real time priority gets it a processor in time. With one at a time it would cost more than
 * it gives: the scheduler moves real time threads around. Threads do not inherit it. Where it is not allowed, the nice
 * value has to do.
 */
static void
adjust_priority(struct daemon *d)
{
	const struct sched_param none = { 0 }, lowest = { .sched_priority = 1 };
	bool crowded = workers_pending(d->workers) > CROWD;

	d->quiet_ticks = crowded ? 0 : d->quiet_ticks + 1;
	if (crowded && !d->realtime)
		d->realtime = sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &lowest) == 0;
	else if (d->realtime && d->quiet_ticks > QUIET_TICKS)
		d->realtime = sched_setscheduler(0, SCHED_OTHER, &none) < 0;
}

static void
check_stopped(struct daemon *d)
{
	if (d->stopping && workers_pending(d->workers) == 0 && manager_slots_pending(d->manager) == 0)
		event_base_loopbreak(d->base);
}

static void
on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct daemon *d = arg;

	workers_collect(d->workers); /* should a wake-up ever get lost */
	manager_tick(d->manager);
	adjust_priority(d);
	if (workers_check(d->workers))
		log_event(LOG_NOTICE, MESSAGE_WORKER_STUCK, NULL, "every worker hangs in the kernel; started one more");
	if (d->ticks++ % 10 == 0 && !d->stopping)
		update_status(d);
	check_stopped(d);
}

static void
on_watchdog(evutil_socket_t fd UNUSED, short what UNUSED, void *arg UNUSED)
{
	notify_watchdog();
}

static void
on_stop_timeout(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct daemon *d = arg;
	log_warning("stopping although %u operations are still under way", workers_pending(d->workers));
	event_base_loopbreak(d->base);
}

static void
on_stop(evutil_socket_t signal_number, short what UNUSED, void *arg)
{
	struct daemon *d = arg;

	if (d->stopping)
		return;
	log_info("stopping on %s", strsignal((int)signal_number));
	d->stopping = true;
	notify_stopping();
	manager_stop(d->manager);
	manager_settle(d->manager);
	event_add(d->timers[TIMER_STOP], &(struct timeval){ .tv_sec = STOP_MS / 1000 });
	check_stopped(d);
}

static void
on_reload(evutil_socket_t signal_number UNUSED, short what UNUSED, void *arg)
{
	struct error e = { 0 };
	reload(arg, &e);
}

static void
on_workers(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct daemon *d = arg;
	workers_collect(d->workers);
	manager_settle(d->manager);
	check_stopped(d);
}

static void
on_slots(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct daemon *d = arg;
	manager_slots(d->manager);
	manager_settle(d->manager);
	check_stopped(d);
}

/* Every request of nsd's own makes a dozen kernel events and touches the directory of names. So that not each of them
 * wakes the loop, reading pauses for EVENTS_MS after something was read, and goes on by itself as long as more comes. */
static void
on_kernel(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct daemon *d = arg;
	bool any = manager_events(d->manager);

	any |= manager_watch(d->manager);
	for (size_t i = SOURCE_EVENTS; i <= SOURCE_WATCH; i++)
		if (any)
			event_del(d->sources[i]);
		else
			event_add(d->sources[i], NULL);
	if (any)
		event_add(d->timers[TIMER_EVENTS], &(struct timeval){ .tv_usec = EVENTS_MS * 1000 });
	manager_settle(d->manager);
}

static void
gauges(void *arg, int64_t *connections, int64_t *requests)
{
	const struct daemon *d = arg;
	struct server_stats s = server_stats(d->server);
	*connections = s.connections;
	*requests = (int64_t)s.requests;
}

/* ---- start ---- */

static int
thread_start(void *arg, void **ret, struct error *e)
{
	struct daemon *d = arg;
	return kernel_open(d->site, (struct kernel **)ret, e);
}

static void
thread_stop(void *thread)
{
	kernel_close(thread);
}

static struct workers_ops worker_ops = { .thread_start = thread_start, .thread_stop = thread_stop };

static void
raise_file_limit(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int
make_directory(const char *path, mode_t mode, struct error *e)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_errno(e, errno, "making the directory %s", path);
	return 0;
}

static int
start_store(struct daemon *d, const char *boot, struct error *e)
{
	int err = make_directory(d->options->state_directory, 0700, e);
	if (err == 0)
		err = store_open(d->options->state_directory, boot, &d->store, e);
	if (err == 0 && !store_was_clean(d->store))
		log_event(LOG_NOTICE, MESSAGE_UNCLEAN_STOP, NULL,
			  "the last nsd did not stop by itself; everything is compared");
	return err;
}

static int
start_manager(struct daemon *d, struct error *e)
{
	char boot[37];
	int err = netns_site_open(NETNS_DIRECTORY, d->options->private_namespaces, &d->site, e);

	if (err == 0)
		err = kernel_check(d->site, e);
	if (err == 0)
		err = boot_id_read(boot, e);
	if (err == 0)
		err = start_store(d, boot, e);
	if (err < 0)
		return err;
	worker_ops.arg = d;
	err = workers_new((unsigned)d->settings.workers, &worker_ops, &d->workers, e);
	if (err < 0)
		return err;
	struct manager_options options = { .workers = d->workers,
					   .store = d->store,
					   .site = d->site,
					   .boot = boot,
					   .state_directory = d->options->state_directory,
					   .runtime_directory = d->options->runtime_directory,
					   .policy = policy_of(&d->settings) };
	err = manager_new(&options, &d->manager, e);
	if (err == 0)
		manager_set_gauges(d->manager, gauges, d);
	return err;
}

static int
open_socket(struct daemon *d, int *ret, struct error *e)
{
	const struct options *o = d->options;
	const struct group *group = getgrnam("nsd");
	int err = notify_listen_fd(ret, e);

	if (err < 0 || *ret >= 0)
		return err;
	if (!o->socket)
		err = make_directory(o->runtime_directory, 0755, e);
	int n = o->socket ? snprintf(d->socket, sizeof(d->socket), "%s", o->socket) :
			    snprintf(d->socket, sizeof(d->socket), "%s/" MODEL_INTERFACE, o->runtime_directory);
	if (err == 0 && n >= (int)sizeof(d->socket))
		err = error_set(e, ERROR_INVALID_VALUE, "--socket", "the path of the socket is too long");
	if (err == 0)
		err = server_listen(d->socket, group ? group->gr_gid : (gid_t)-1, ret, e);
	if (err < 0)
		d->socket[0] = '\0';
	return err;
}

static int
start_server(struct daemon *d, struct error *e)
{
	struct server_limits limits = limits_of(&d->settings);
	int fd = -1, err = open_socket(d, &fd, e);

	if (err < 0)
		return err;
	d->service = (struct service){ .reload = reload, .arg = d };
	d->bindings[0] = (struct binding){ &manager_interface, d->manager };
	d->bindings[1] = (struct binding){ &service_interface, &d->service };
	d->dispatcher = (struct dispatcher){ .bindings = d->bindings,
					     .vendor = "nsd",
					     .product = "nsd",
					     .version = PACKAGE_VERSION,
					     .url = "https://varlink.org/" };
	return server_new(d->base, fd, &d->dispatcher, &limits, &d->server, e);
}

static int
add_event(struct daemon *d, struct event **ret, int fd, short what, event_callback_fn fn, int64_t usec, struct error *e)
{
	struct timeval t = { .tv_sec = usec / 1000000, .tv_usec = usec % 1000000 };

	*ret = event_new(d->base, fd, what, fn, d);
	if (!*ret || (usec >= 0 && event_add(*ret, usec > 0 ? &t : NULL) < 0))
		return error_errno(e, ENOMEM, "starting the event loop");
	return 0;
}

static int
add_events(struct daemon *d, struct error *e)
{
	int64_t watchdog = (int64_t)notify_watchdog_interval();
	const struct {
		struct event **event;
		int fd;
		short what;
		event_callback_fn fn;
		int64_t usec; /* -1: not yet; 0: no time */
	} table[] = {
		{ &d->timers[TIMER_TICK], -1, EV_PERSIST, on_tick, TICK_MS * 1000 },
		{ &d->timers[TIMER_WATCHDOG], -1, EV_PERSIST, on_watchdog, watchdog > 0 ? watchdog : -1 },
		{ &d->timers[TIMER_STOP], -1, 0, on_stop_timeout, -1 },
		{ &d->timers[TIMER_EVENTS], -1, 0, on_kernel, -1 },
		{ &d->sources[SOURCE_TERM], SIGTERM, EV_SIGNAL | EV_PERSIST, on_stop, 0 },
		{ &d->sources[SOURCE_INT], SIGINT, EV_SIGNAL | EV_PERSIST, on_stop, 0 },
		{ &d->sources[SOURCE_HUP], SIGHUP, EV_SIGNAL | EV_PERSIST, on_reload, 0 },
		{ &d->sources[SOURCE_WORKERS], workers_fd(d->workers), EV_READ | EV_PERSIST, on_workers, 0 },
		{ &d->sources[SOURCE_EVENTS], manager_events_fd(d->manager), EV_READ | EV_PERSIST, on_kernel, 0 },
		{ &d->sources[SOURCE_WATCH], manager_watch_fd(d->manager), EV_READ | EV_PERSIST, on_kernel, 0 },
		{ &d->sources[SOURCE_SLOTS], manager_slots_fd(d->manager), EV_READ | EV_PERSIST, on_slots, 0 },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table) && err == 0; i++)
		err = add_event(d, table[i].event, table[i].fd, table[i].what, table[i].fn, table[i].usec, e);
	return err;
}

static int
start(struct daemon *d, struct error *e)
{
	int err = load_settings(d, e);

	if (err == 0 && d->options->private_namespaces)
		err = kernel_go_private(d->options->runtime_directory, e);
	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	if (err == 0)
		err = start_manager(d, e);
	d->base = err == 0 ? event_base_new() : NULL;
	if (err == 0 && !d->base)
		err = error_errno(e, ENOMEM, "starting the event loop");
	if (err == 0)
		err = start_server(d, e);
	if (err == 0)
		err = add_events(d, e);
	setpriority(PRIO_PROCESS, 0, LOOP_NICE); /* of this thread; the workers have started */
	return err;
}

static void
take_down(struct daemon *d)
{
	for (size_t i = 0; i < N_TIMERS; i++)
		if (d->timers[i])
			event_free(d->timers[i]);
	for (size_t i = 0; i < N_SOURCES; i++)
		if (d->sources[i])
			event_free(d->sources[i]);
	server_free(d->server);
	if (d->socket[0])
		unlink(d->socket);
	workers_free(d->workers);
	manager_free(d->manager);
	store_close(d->store);
	netns_site_free(d->site);
	if (d->base)
		event_base_free(d->base);
}

int
daemon_run(const struct options *o, struct error *e)
{
	struct daemon d = { .options = o };
	int err = start(&d, e);

	if (err == 0) {
		manager_start(d.manager);
		log_event(LOG_INFO, MESSAGE_STARTED, NULL, "listening on %s",
			  d.socket[0] ? d.socket : "the inherited socket");
		notify_ready();
		update_status(&d);
		event_base_dispatch(d.base);
		log_event(LOG_INFO, MESSAGE_STOPPED, NULL, "stopped; namespaces and links stay");
	} else {
		notify_error(e);
	}
	take_down(&d);
	return err;
}

int
daemon_describe(struct error *e)
{
	const struct interface *const all[] = { &manager_interface, &service_interface };
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all) && err == 0; i++) {
		CLEANUP(free_ptr) char *text = NULL;
		err = interface_describe(all[i], &text, e);
		if (err == 0)
			printf("%s%s", i ? "\n" : "", text);
	}
	return err;
}
