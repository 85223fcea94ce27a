/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ids of the log lines an administrator may look for (log_event()); systemd/nsd.catalog explains each. An id is never
 * given a new meaning. Fields that go with those of an object: NSD_NAMESPACE= or NSD_LINK=, its name.
 */
#pragma once

#define MESSAGE_STARTED "8c4bcf8034a344c5b693673d833e2484"	    /* the socket answers */
#define MESSAGE_RECONCILED "db261eee513a4c94a3e0fbb344fe1d8a"	    /* records and kernel agree after a start */
#define MESSAGE_STOPPED "4a18c8b9fcc74d1bb54d24504473028a"	    /* clean stop */
#define MESSAGE_RELOADED "cc101e55e67040e79c07ecdc14343b87"	    /* configuration read again */
#define MESSAGE_UNCLEAN_STOP "f393e86de92849b789d61bdafc7ac582"	    /* the last nsd did not stop by itself */
#define MESSAGE_STORE_REFUSED "4125389a18bd4b739e31a063851fefe5"    /* start: damaged, missing or newer state */
#define MESSAGE_STORE_UNWRITABLE "6b7dd54d09c940f4a3e407367ebc5c06" /* changes are refused until it is writable */
#define MESSAGE_STORE_WRITABLE "0c321335417f4213b8606b242e45888b"   /* ... and it is again */
#define MESSAGE_NAMESPACE_LOST "4094420631584232befc616b18bef4a3"   /* vanished from the kernel */
#define MESSAGE_LINK_LOST "4d6a1ad5c9254b95b630ab69f0a306ff"
#define MESSAGE_NETWORK_LOST "5a0b0b3b0f5c4d6f9e1c4c0d6f2a7e91"
#define MESSAGE_SLOTS_LOST "b7f6f9c2a3f84d4f8a55d0e61f6f0c3d"	 /* leases that the table does not know any more */
#define MESSAGE_DRIFT "bedc8ced806c40e5bfd151e5b7db1b95"	 /* changed by somebody else */
#define MESSAGE_OVERRUN "a9ec50d406b04cae8c7591d3c7abdd25"	 /* events of the kernel were lost; all is compared */
#define MESSAGE_WORKER_STUCK "748009a4f78b48fc95280023712a5f9b"	 /* a kernel call does not come back */
#define MESSAGE_MOUNTS_HIDDEN "bfdac82d1eda4816aa300bde17f34ff7" /* start: the host would not see /run/netns */
#define MESSAGE_SETTINGS_REFUSED "49c3705ef60a45a9bed274dc01869e68" /* a file of settings has a mistake */
