// SPDX-License-Identifier: GPL-2.0-or-later

// Takes a slot of nsd, shows its addresses from inside, gives it back, through the Varlink package of Go, which knows
// nothing of nsd.
//
//	acquire NETWORK KEY
//
// The lease is bound to the connection: whatever happens to this program, nsd takes the slot back.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/varlink/go/varlink"
	"golang.org/x/sys/unix"
)

const manager = "io.nsd.Manager."

type slot struct {
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
	Interface  string `json:"interface"`
}

type acquireParameters struct {
	Network string `json:"network"`
	Key     string `json:"key"`
	Bond    string `json:"bond"`
}

type slotParameters struct {
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
}

func socketPath() string {
	if path := os.Getenv("NSD_SOCKET"); path != "" {
		return path
	}
	return "/run/nsd/io.nsd.Manager"
}

// An error reply in words. Programs go by its name, people read the message.
func explain(err error) error {
	e, ok := err.(*varlink.Error)
	if !ok {
		return err
	}
	var parameters struct {
		Message string `json:"message"`
	}
	if raw, ok := e.Parameters.(*json.RawMessage); ok && raw != nil {
		json.Unmarshal(*raw, &parameters)
	}
	return fmt.Errorf("%s: %s", e.Name, parameters.Message)
}

// The slot's namespace as a file descriptor. The package passes no descriptors, so this is one call on a connection of its
// own: JSON and a NUL each way.
func openSlot(s slot) (int, error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socketPath(), Net: "unix"})
	if err != nil {
		return -1, err
	}
	defer c.Close()
	call, _ := json.Marshal(struct {
		Method     string         `json:"method"`
		Parameters slotParameters `json:"parameters"`
	}{manager + "OpenSlot", slotParameters{s.Name, s.Generation}})
	if _, err := c.Write(append(call, 0)); err != nil {
		return -1, err
	}

	data, control := make([]byte, 65536), make([]byte, unix.CmsgSpace(4))
	n, controlled, _, _, err := c.ReadMsgUnix(data, control)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlled])
	if err != nil || len(messages) == 0 {
		return -1, fmt.Errorf("OpenSlot: no file descriptor: %s", data[:n])
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(fds[0])
	return fds[0], nil
}

// Goes into the slot and comes back: whoever stays inside keeps the slot from going. No other goroutine may run on a thread
// that is inside.
func visit(fd int, name string) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot enter the slot: %w", err)
	}
	err = showAddresses(name)
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return fmt.Errorf("cannot come back: %w", back) // the thread stays locked, and so unused
	}
	runtime.UnlockOSThread()
	return err
}

func showAddresses(name string) error {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	addresses, err := iface.Addrs()
	for _, address := range addresses {
		ip, _, _ := net.ParseCIDR(address.String())
		fmt.Println("inside:", name, ip)
	}
	return err
}

func run(network, key string) error {
	ctx := context.Background()
	c, err := varlink.NewConnection(ctx, "unix:"+socketPath())
	if err != nil {
		return err
	}
	defer c.Close()

	var acquired struct {
		Slot    slot `json:"slot"`
		Created bool `json:"created"`
	}
	if err := c.Call(ctx, manager+"AcquireSlot", acquireParameters{network, key, "connection"}, &acquired); err != nil {
		return explain(err)
	}
	s := acquired.Slot
	how := "had it already"
	if acquired.Created {
		how = "acquired"
	}
	fmt.Printf("%s: %s, generation %d\n", s.Name, how, s.Generation)

	fd, err := openSlot(s)
	if err != nil {
		return err
	}
	err = visit(fd, s.Interface)
	unix.Close(fd)
	if err != nil {
		return err
	}

	// With the generation nothing happens to a later lease, should this one have ended meanwhile.
	if err := c.Call(ctx, manager+"ReleaseSlot", slotParameters{s.Name, s.Generation}, nil); err != nil {
		return explain(err)
	}
	fmt.Printf("%s: released\n", s.Name)
	return nil
}

func main() {
	err := errors.New("usage: acquire NETWORK KEY")
	if len(os.Args) == 3 {
		err = run(os.Args[1], os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "acquire:", err)
		os.Exit(1)
	}
}
