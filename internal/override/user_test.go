package override_test

import (
	"strings"
	"testing"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/override"
)

func TestUserThatTheCLIRenumbers(t *testing.T) {
	tests := map[string]struct{ written, label, imageUser, want string }{
		// The Compose file's user is "composed".
		"the user of a Compose file":                   {`{"dockerComposeFile": "c", "containerUser": "c", "runArgs": ["-u", "a"]}`, ``, `i`, "composed"},
		"remoteUser before the user of a Compose file": {`{"dockerComposeFile": "c", "remoteUser": "dev"}`, ``, `i`, "dev"},
		"root by default":                              {`{"image": "b"}`, ``, ``, ""},
		"the image's user":                             {`{"image": "b"}`, ``, `dev`, "dev"},
		"a number":                                     {`{"image": "b"}`, ``, `1000`, ""},
		"a user with a group":                          {`{"image": "b"}`, ``, `dev:dev`, ""},
		"remoteUser":                                   {`{"image": "b", "remoteUser": "dev", "containerUser": "c"}`, ``, `i`, "dev"},
		"remoteUser of the label":                      {`{"image": "b", "containerUser": "c"}`, `[{"remoteUser":"dev"}]`, `i`, "dev"},
		"remoteUser root":                              {`{"image": "b", "remoteUser": "root"}`, `[{"remoteUser":"dev"}]`, `i`, ""},
		"an empty remoteUser":                          {`{"image": "b", "remoteUser": ""}`, `[{"remoteUser":"dev"}]`, `i`, "dev"},
		"a user of runArgs":                            {`{"image": "b", "runArgs": ["-u", "a", "--user=dev"], "containerUser": "c"}`, ``, `i`, "dev"},
		"a user of runArgs, apart":                     {`{"image": "b", "runArgs": ["--user", "dev"]}`, ``, `i`, "dev"},
		"containerUser":                                {`{"image": "b", "containerUser": "dev"}`, ``, `i`, "dev"},
		"a variable":                                   {`{"image": "b", "remoteUser": "${localEnv:USER}"}`, ``, `i`, ""},
		"switched off":                                 {`{"image": "b", "updateRemoteUserUID": false}`, `[{"updateRemoteUserUID":true}]`, `dev`, ""},
		"switched off by the label":                    {`{"image": "b"}`, `[{"updateRemoteUserUID":false}]`, `dev`, ""},
		"switched on after the label":                  {`{"image": "b", "updateRemoteUserUID": true}`, `[{"updateRemoteUserUID":false}]`, `dev`, "dev"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			configuration, err := devcontainer.Parse([]byte(test.written))
			if err != nil {
				t.Fatal(err)
			}
			image := override.Image{Name: "built:1", Metadata: test.label, User: test.imageUser, ServiceUser: "composed"}
			if got := override.RenumberedUser(configuration, image); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// accounts is an /etc/passwd.
func accounts(lines ...string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

func TestImageWhoseUserKeepsItsIDs(t *testing.T) {
	const root, dev = "root:x:0:0:root:/root:/bin/sh", "dev:x:1000:1000::/home/dev:/bin/sh"
	tests := map[string]struct {
		accounts []byte
		uid, gid int
		want     bool
	}{
		"the same":                   {accounts(root, dev), 1000, 1000, true},
		"another group":              {accounts(root, dev), 1000, 1001, false},
		"another user":               {accounts(root, dev), 1001, 1000, false},
		"a number that another has":  {accounts(root, dev), 0, 0, true},
		"no such user":               {accounts(root), 1000, 1000, false},
		"a user whose name ends so":  {accounts(root, dev, "webdev:x:33:33::/:/bin/sh"), 1000, 1000, false},
		"the user twice":             {accounts(root, dev, dev), 1000, 1000, false},
		"a group that looks like it": {accounts(root, dev, "sync:x:5:0:sync:/sbin:/bin/sync"), 0, 0, false},
		"nothing":                    {nil, 1000, 1000, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := override.KeepsIDs(test.accounts, "dev", test.uid, test.gid); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if override.KeepsIDs(accounts(root, "d.v:x:1000:1000::/:/bin/sh"), "d.v", 1000, 1000) {
		t.Error("a name with a special character means more than itself to the reference CLI")
	}
}
