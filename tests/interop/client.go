// SPDX-License-Identifier: GPL-2.0-or-later

// A foreign client: uses nsd through Debian's Go Varlink package, which knows nothing of nsd. Each step prints one line;
// the first thing that is not as it should be ends it with status 1.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/varlink/go/varlink"
	"github.com/varlink/go/varlink/idl"
)

const manager = "io.nsd.Manager"

type namespace struct {
	Name       string `json:"name"`
	State      string `json:"state"`
	Path       string `json:"path"`
	Generation int64  `json:"generation"`
}

type namespaceReply struct {
	Namespace namespace `json:"namespace"`
}

type nameParameter struct {
	Name string `json:"name"`
}

type change struct {
	Sequence  int64      `json:"sequence"`
	Event     string     `json:"event"`
	Namespace *namespace `json:"namespace"`
}

func fail(format string, arguments ...interface{}) {
	fmt.Printf("FAILED: "+format+"\n", arguments...)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
	fmt.Println(what)
}

func connect(ctx context.Context, address string) *varlink.Connection {
	c, err := varlink.NewConnection(ctx, address)
	if err != nil {
		fail("connect: %v", err)
	}
	return c
}

// Information, and the description of every interface parsed by the package's own parser. That parser (0.4.0) knows only
// the first grammar of interface names, without capital letters; so the name, and nothing else, is given to it in small
// letters, as would be necessary with io.systemd.Hostname and its like.
func introspect(ctx context.Context, c *varlink.Connection) {
	var vendor, product, version, url string
	var interfaces []string
	check(c.GetInfo(ctx, &vendor, &product, &version, &url, &interfaces), "GetInfo")
	if product == "" || version == "" || len(interfaces) < 3 {
		fail("GetInfo: %q %q %v", product, version, interfaces)
	}
	for _, name := range interfaces {
		description, err := c.GetInterfaceDescription(ctx, name)
		check(err, "GetInterfaceDescription of "+name)
		small := strings.ToLower(name)
		parsed, err := idl.New(strings.Replace(description, "interface "+name+"\n", "interface "+small+"\n", 1))
		check(err, "parse "+name)
		if parsed.Name != small || len(parsed.Methods) == 0 {
			fail("%s: name %s, %d methods", name, parsed.Name, len(parsed.Methods))
		}
	}
}

// The typed errors of org.varlink.service arrive as the package's own types, those of nsd by name.
func errors(ctx context.Context, c *varlink.Connection) {
	err := c.Call(ctx, manager+".NoSuchMethod", nil, nil)
	if e, ok := err.(*varlink.MethodNotFound); !ok {
		fail("MethodNotFound: %v", e)
	}
	fmt.Println("MethodNotFound")

	err = c.Call(ctx, "no.such.interface.Method", nil, nil)
	if e, ok := err.(*varlink.InterfaceNotFound); !ok || e.Interface != "no.such.interface" {
		fail("InterfaceNotFound: %v", err)
	}
	fmt.Println("InterfaceNotFound")

	err = c.Call(ctx, manager+".GetNamespace", struct {
		Wrong int `json:"wrong"`
	}{1}, nil)
	if e, ok := err.(*varlink.InvalidParameter); !ok || (e.Parameter != "wrong" && e.Parameter != "name") {
		fail("InvalidParameter: %v", err)
	}
	fmt.Println("InvalidParameter")

	err = c.Call(ctx, manager+".GetNamespace", nameParameter{"absent"}, nil)
	if e, ok := err.(*varlink.Error); !ok || e.Name != manager+".NotFound" {
		fail("NotFound: %v", err)
	}
	fmt.Println("NotFound")
}

// A `more` call until its last reply; counts the namespaces called `name`.
func list(ctx context.Context, c *varlink.Connection, name string) int {
	receive, err := c.Send(ctx, manager+".ListNamespaces", nil, varlink.More)
	check(err, "ListNamespaces")
	for found := 0; ; {
		var reply struct {
			Namespaces []namespace `json:"namespaces"`
		}
		flags, err := receive(ctx, &reply)
		if err != nil {
			fail("ListNamespaces: %v", err)
		}
		for _, n := range reply.Namespaces {
			if n.Name == name {
				found++
			}
		}
		if flags&varlink.Continues == 0 {
			return found
		}
	}
}

type watch struct {
	receive  func(context.Context, interface{}) (uint64, error)
	sequence int64
}

// Reads changes until `event`, about the namespace `name` where one is given.
func (w *watch) until(ctx context.Context, event, name string) {
	for {
		var next change
		flags, err := w.receive(ctx, &next)
		if err != nil || flags&varlink.Continues == 0 {
			fail("Monitor until %s: %v", event, err)
		}
		if w.sequence != 0 && next.Sequence < w.sequence {
			fail("Monitor: sequence %d after %d", next.Sequence, w.sequence)
		}
		w.sequence = next.Sequence
		if next.Event == event && (name == "" || next.Namespace != nil && next.Namespace.Name == name) {
			fmt.Println("Monitor:", event, name)
			return
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: client unix:SOCKET")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, monitor := connect(ctx, os.Args[1]), connect(ctx, os.Args[1])
	defer c.Close()

	introspect(ctx, c)
	errors(ctx, c)

	receive, err := monitor.Send(ctx, manager+".Monitor", nil, varlink.More)
	check(err, "Monitor")
	w := watch{receive: receive}
	w.until(ctx, "synced", "")

	var made namespaceReply
	check(c.Call(ctx, manager+".CreateNamespace", nameParameter{"foreign-client"}, &made), "CreateNamespace")
	if made.Namespace.State != "ready" || made.Namespace.Path != "/run/netns/foreign-client" {
		fail("CreateNamespace: %+v", made.Namespace)
	}
	w.until(ctx, "ready", "foreign-client")
	if n := list(ctx, c, "foreign-client"); n != 1 {
		fail("listed %d times", n)
	}
	var got namespaceReply
	check(c.Call(ctx, manager+".GetNamespace", nameParameter{"foreign-client"}, &got), "GetNamespace")
	if got.Namespace.Generation != made.Namespace.Generation {
		fail("generation %d, then %d", made.Namespace.Generation, got.Namespace.Generation)
	}

	// The package writes "oneway" calls and expects no answer: the next reply must be that of the next call.
	_, err = c.Send(ctx, manager+".NoSuchMethod", nil, varlink.Oneway)
	check(err, "oneway call of an unknown method")

	check(c.Call(ctx, manager+".DeleteNamespace", struct {
		Name string `json:"name"`
		Wait bool   `json:"wait"`
	}{"foreign-client", true}, nil), "DeleteNamespace")
	w.until(ctx, "gone", "foreign-client")
	monitor.Close()
	if n := list(ctx, c, "foreign-client"); n != 0 {
		fail("listed %d times after the end", n)
	}
	fmt.Println("done")
}
