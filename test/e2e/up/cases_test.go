package up

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imagecache.dev/test/engine"
)

// short are the cases that every run compares.
var short = map[engine.Kind][]string{
	engine.Podman:             {"a Feature with commands and mounts and variables"},
	engine.Docker28Containerd: {"a remote user with other IDs"},
}

// feature are the files of a Feature in the workspace.
func feature(name, metadata string) map[string]string {
	folder := ".devcontainer/" + name + "/"
	metadata = strings.NewReplacer("«", "echo ", "»", " >> log").Replace(metadata)
	return map[string]string{
		folder + "devcontainer-feature.json": `{"id": "` + name + `", "version": "1.0.0", "name": "` + name + `"` + metadata + `}`,
		folder + "install.sh":                "#!/bin/sh\nset -e\necho " + name + " $_REMOTE_USER >> /installed\n",
	}
}

// dockerfile is a Dockerfile on a base image.
func dockerfile(base, rest string) map[string]string {
	return map[string]string{".devcontainer/Dockerfile": "FROM " + base + rest}
}

// files joins files.
func files(of ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, some := range of {
		for name, content := range some {
			all[name] = content
		}
	}
	return all
}

// comparisons are the cases, by what is particular to each.
var comparisons = map[string]comparison{
	"an image alone": {config: `{"image": "<base>"}`},
	"every lifecycle command": {
		config: `{"image": "<base>", "initializeCommand": "«initialize»", "onCreateCommand": "«create»",
			"updateContentCommand": "«update»", "postCreateCommand": "«post-create»",
			"postStartCommand": "«start»", "postAttachCommand": "«attach»"}`,
	},
	"several commands at once": {
		atOnce: true,
		config: `{"image": "<base>", "onCreateCommand": {"a": "«create-a»", "b": ["sh", "-c", "«create-b»"]},
			"postStartCommand": {"a": "«start-a»", "b": "«start-b»"}}`,
	},
	"commands without a shell": {
		config: `{"image": "<base>", "initializeCommand": ["sh", "-c", "«initialize»"], "postCreateCommand": ["sh",
			"-c", "«post $0»", "arg"]}`,
	},
	"a Feature with commands and mounts and variables": {
		config: `{"image": "<base>", "features": {"./tool": {}}, "onCreateCommand": "«own $OF_FEATURE $OWN»",
			"postStartCommand": "cat /installed >> log", "containerEnv": {"OWN": "own"},
			"mounts": ["type=volume,source=own-${devcontainerId},target=/own"]}`,
		files: feature("tool", `, "onCreateCommand": "«feature»", "postStartCommand": {"s": "«feature-start»"},
			"mounts": [{"type": "volume", "source": "tool-${devcontainerId}", "target": "/tool"}],
			"containerEnv": {"OF_FEATURE": "1"}, "customizations": {"vscode": {"extensions": ["f.one"]}}`),
	},
	"Features in another order": {
		config: `{"image": "<base>", "features": {"./one": {}, "./two": {}},
			"overrideFeatureInstallOrder": ["./two", "./one"], "postCreateCommand": "cat /installed >> log"}`,
		files: files(feature("one", `, "onCreateCommand": "«one»"`), feature("two", `, "onCreateCommand": "«two»"`)),
	},
	"a Feature that depends on another": {
		config: `{"image": "<base>", "features": {"./two": {}}, "postCreateCommand": "cat /installed >> log"}`,
		files: files(
			feature("one", `, "onCreateCommand": "«one»"`),
			feature("two", `, "dependsOn": {"./one": {}}, "onCreateCommand": "«two»"`),
		),
	},
	"a Feature with an entry point and rights": {
		config: `{"image": "<base>", "features": {"./tool": {}}, "capAdd": ["SYS_PTRACE"],
			"postStartCommand": "cat /tmp/entered >> log"}`,
		files: feature("tool", `, "entrypoint": "echo entered > /tmp/entered", "capAdd": ["NET_ADMIN"],
			"securityOpt": ["seccomp=unconfined"]`),
	},
	"a Feature on a Dockerfile": {
		config: `{"build": {"dockerfile": "Dockerfile"}, "features": {"./tool": {}},
			"postCreateCommand": "«$IN_IMAGE»; cat /installed >> log", "remoteEnv": {"A": "a"}}`,
		files: files(feature("tool", ``), dockerfile(baseImage, "\nENV IN_IMAGE=yes\n")),
	},
	"no Features in an object": {config: `{"image": "<base>", "features": {}, "postCreateCommand": "«post»"}`},
	"variables of the container and of the user": {
		config: `{"image": "<base>", "containerEnv": {"A": "container", "B": "container"},
			"remoteEnv": {"B": "remote", "C": "${containerEnv:A} too"}, "postCreateCommand": "«$A $B $C»"}`,
	},
	"variables that are taken away": {
		config: `{"image": "<base>", "containerEnv": {"A": "container"}, "remoteEnv": {"A": null, "B": "b"},
			"postCreateCommand": "«[$A] $B»", "userEnvProbe": "none"}`,
	},
	"variables of the machine": {
		config: `{"image": "<base>", "containerEnv": {"A": "${localEnv:UP_SET}", "B": "${localEnv:UP_UNSET:other}",
			"C": "${localEnv:UP_UNSET}"}, "remoteEnv": {"D": "${localEnv:UP_SET} ${localEnv:UP_UNSET:a:b}"},
			"postCreateCommand": "«$A $B [$C] $D ${localEnv:UP_SET}»"}`,
	},
	"variables of the machine in a build with Features": {
		unpublished: true,
		config: `{"image": "<base>", "features": {"./tool": {}}, "containerEnv": {"A": "${localEnv:UP_SET}"},
			"postCreateCommand": "«$A»"}`,
		files: feature("tool", ``),
	},
	"folders and IDs": {
		config: `{"image": "<base>", "containerEnv": {"L": "${localWorkspaceFolder}",
			"LB": "${localWorkspaceFolderBasename}", "C": "${containerWorkspaceFolder}",
			"CB": "${containerWorkspaceFolderBasename}", "ID": "${devcontainerId}"},
			"mounts": ["type=bind,source=${localWorkspaceFolder},target=/again"],
			"postCreateCommand": "«$L $LB $C $CB $ID ${containerWorkspaceFolder}»"}`,
	},
	"a workspace mounted elsewhere": {
		config: `{"image": "<base>",
			"workspaceMount": "type=bind,source=${localWorkspaceFolder},target=/elsewhere/${localWorkspaceFolderBasename}",
			"workspaceFolder": "/elsewhere/space", "postCreateCommand": "«$PWD ${containerWorkspaceFolder}»",
			"remoteEnv": {"W": "${containerWorkspaceFolder}"}}`,
	},
	"a workspace folder below the mount": {
		config: `{"image": "<base>", "workspaceMount": "type=bind,source=${localWorkspaceFolder},target=/w",
			"workspaceFolder": "/w/sub", "postCreateCommand": "echo $PWD >> ../log"}`,
		files: map[string]string{"sub/file": ""},
	},
	"a command of the image that stays": {
		config: `{"image": "<serving>", "overrideCommand": false, "postStartCommand": "«start»"}`,
	},
	"a command of the image that is not run": {
		config: `{"image": "<serving>", "overrideCommand": true, "postStartCommand": "«start»"}`,
	},
	"a command that stays in a build of Features": {
		config: `{"image": "<serving>", "features": {"./tool": {}}, "overrideCommand": false}`,
		files:  feature("tool", ``),
	},
	"waiting for the last command": {
		config: `{"image": "<base>", "waitFor": "postStartCommand", "onCreateCommand": "«create»",
			"postStartCommand": "«start»", "postAttachCommand": "«attach»"}`,
		args: []string{"--skip-non-blocking-commands"},
	},
	"waiting for the first command": {
		config: `{"image": "<base>", "waitFor": "onCreateCommand", "onCreateCommand": "«create»",
			"postCreateCommand": "«post»"}`,
		args: []string{"--skip-non-blocking-commands"},
	},
	"secrets": {
		config: `{"image": "<base>", "secrets": {"TOKEN": {"description": "d"}}, "postCreateCommand": "«$TOKEN»"}`,
		args:   []string{"--secrets-file", "FOLDER/secrets.json"},
		files:  map[string]string{"secrets.json": `{"TOKEN": "hidden"}`},
	},
	"a workspace below a repository": {
		config: `{"image": "<base>", "postCreateCommand": "«$PWD»"}`,
		prepare: func(t *testing.T, p *place) {
			git(t, filepath.Dir(p.folder), "init", "--quiet")
		},
	},
	"a worktree": {
		config: `{"image": "<base>", "postCreateCommand": "«$PWD»"}`,
		args:   []string{"--mount-git-worktree-common-dir"},
		prepare: func(t *testing.T, p *place) {
			main := filepath.Join(filepath.Dir(p.folder), "main")
			git(t, filepath.Dir(p.folder), "init", "--quiet", main)
			git(t, main, "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "--allow-empty", "--message", "first")
			git(t, main, "worktree", "add", "--quiet", "--detach", filepath.Join(filepath.Dir(p.folder), "tree"))
			pointer := []byte("gitdir: ../main/.git/worktrees/tree\n")
			if err := os.WriteFile(filepath.Join(p.folder, ".git"), pointer, 0o644); err != nil {
				t.Fatal(err)
			}
		},
	},
	"root": {
		config: `{"image": "<dev>", "remoteUser": "root", "containerUser": "root",
			"postCreateCommand": "«$(id -un)»"}`,
	},
	"a remote user with other IDs": {
		config: `{"image": "<base>", "remoteUser": "dev", "runArgs": <mapped>,
			"postCreateCommand": "«$(id -un):$(id -u):$(id -g) $HOME»", "customizations": {"vscode": {}}}`,
	},
	"a remote user with the local IDs": {
		config: `{"image": "<base>", "remoteUser": "admin", "runArgs": <mapped>,
			"postCreateCommand": "«$(id -u):$(id -g)»"}`,
	},
	"a container user": {
		config: `{"image": "<base>", "containerUser": "dev", "runArgs": <mapped>,
			"postCreateCommand": "«$(id -un)»"}`,
	},
	"a remote user and a container user": {
		config: `{"image": "<base>", "containerUser": "root", "remoteUser": "dev", "runArgs": <mapped>,
			"postCreateCommand": "«$(id -un)»"}`,
	},
	"the image's user": {config: `{"image": "<dev>", "runArgs": <mapped>, "postCreateCommand": "«$(id -un)»"}`},
	"the image's user with a Feature": {
		config: `{"image": "<dev>", "runArgs": <mapped>, "features": {"./tool": {}},
			"postCreateCommand": "«$(id -un)»; cat /installed >> log"}`,
		files: feature("tool", ``),
	},
	"a user that keeps its IDs by itself": {
		config: `{"image": "<base>", "remoteUser": "dev", "runArgs": <mapped>, "updateRemoteUserUID": false,
			"postCreateCommand": "«$(id -u)»"}`,
	},
	"a user named by the machine": {
		config: `{"image": "<base>", "remoteUser": "${localEnv:UP_USER:dev}", "runArgs": <mapped>,
			"postCreateCommand": "«$(id -un)»"}`,
	},
	"ports": {
		config: `{"image": "<base>", "forwardPorts": [3000, "db:5432"], "appPort": [<port>],
			"portsAttributes": {"3000": {"label": "web"}}, "otherPortsAttributes": {"onAutoForward": "ignore"}}`,
	},
	// The engines of the tests may lack the program that --init needs.
	"an init process": {
		config:  `{"image": "<base>", "init": true, "postStartCommand": "«start»"}`,
		mayFail: true,
	},
	"capabilities and security": {
		config: `{"image": "<base>", "capAdd": ["SYS_PTRACE", "NET_ADMIN"], "securityOpt": ["seccomp=unconfined"]}`,
	},
	"arguments of the engine": {
		config: `{"image": "<base>", "runArgs": ["--hostname=here", "--label", "l=${localWorkspaceFolderBasename}",
			"--env=E=${localEnv:UP_SET}"], "postStartCommand": "«$(hostname) $E»"}`,
	},
	"mounts as strings and objects": {
		config: `{"image": "<base>", "mounts": ["type=tmpfs,target=/t", {"type": "volume",
			"source": "v-${devcontainerId}", "target": "/v"}, {"type": "bind",
			"source": "${localWorkspaceFolder}", "target": "/b"}], "postStartCommand": "«$(ls -d /t /v /b)»"}`,
	},
	"customizations of two tools": {
		config: `{"image": "<base>", "customizations": {"vscode": {"extensions": ["a.b"],
			"settings": {"x": [1, 2.5, true, null]}}, "other": {"deep": {"er": "${localEnv:UP_SET}"}}}}`,
	},
	"older customizations": {
		config: `{"image": "<base>", "extensions": ["a.b"], "settings": {"x": 1}, "devPort": 9}`,
	},
	"a base with a label": {
		config: `{"image": "<labelled>", "onCreateCommand": "«own»", "postCreateCommand": "«own $OF_BASE $BOTH»",
			"remoteEnv": {"BOTH": "own"}, "forwardPorts": [9001],
			"customizations": {"vscode": {"extensions": ["own.one"]}}, "waitFor": "postCreateCommand"}`,
	},
	"a base with a label and nothing more": {config: `{"image": "<labelled>"}`},
	"a base with a label and a Feature": {
		config: `{"image": "<labelled>", "features": {"./tool": {}}}`,
		files:  feature("tool", `, "onCreateCommand": "«feature»"`),
	},
	"a base that says what its image says": {
		config: `{"image": "<labelled>", "remoteUser": "root", "remoteEnv": {"OF_BASE": "1", "BOTH": "base"},
			"postCreateCommand": "«base»"}`,
	},
	"a Dockerfile on a base with a label": {
		config: `{"build": {"dockerfile": "Dockerfile"}, "postCreateCommand": "«own»"}`,
		files:  dockerfile(labelledImage, "\n"),
	},
	"comments and trailing commas": {
		config: "// c\n{\"image\": \"<base>\", /* c */ \"postCreateCommand\": \"«post» # // not a comment\",\n}",
	},
	"the older names of a Dockerfile": {
		config: `{"dockerFile": "Dockerfile", "context": "..", "postCreateCommand": "cat /data >> log"}`,
		files:  map[string]string{".devcontainer/Dockerfile": "FROM " + baseImage + "\nCOPY data /data\n", "data": "data\n"},
	},
	"arguments and a stage of a build": {
		unpublished: true,
		config: `{"build": {"dockerfile": "Dockerfile", "context": "..", "target": "wanted",
			"args": {"A": "${localEnv:UP_SET}"}}, "postCreateCommand": "cat /a >> log"}`,
		files: dockerfile(baseImage, " AS wanted\nARG A\nRUN echo \"$A\" > /a\nFROM wanted\nRUN echo other > /a\n"),
	},
	"all that a Dockerfile sets": {
		config: `{"build": {"dockerfile": "Dockerfile"}, "postCreateCommand": "«$E»"}`,
		files:  dockerfile(baseImage, "\nENV E=e\nWORKDIR /w\nVOLUME /data\nEXPOSE 80\nSTOPSIGNAL SIGINT\nLABEL l=v\nENTRYPOINT [\"sleep\"]\nCMD [\"100000\"]\n"),
	},
	"a Dockerfile that sets the label": {
		builds: true,
		config: `{"build": {"dockerfile": "Dockerfile"}}`,
		files:  dockerfile(baseImage, "\nLABEL devcontainer.metadata='[{\"postCreateCommand\": \"echo label >> log\"}]'\n"),
	},
	"a Dockerfile that sets a label in vain": {
		config: `{"build": {"dockerfile": "Dockerfile"}, "postCreateCommand": "«own»"}`,
		files:  dockerfile(baseImage, "\nLABEL devcontainer.metadata='[{\"postCreateCommand\": \"echo label >> log\"}]'\n"),
	},
	"requirements": {
		config: `{"image": "<base>", "hostRequirements": {"cpus": 1, "memory": "1gb", "storage": "1gb"}}`,
	},
	// podman can't answer what the reference CLI asks about GPUs.
	"optional GPUs": {
		config:  `{"image": "<base>", "hostRequirements": {"gpu": "optional"}, "postCreateCommand": "«post»"}`,
		mayFail: true,
	},
	"what to do in the end": {config: `{"image": "<base>", "shutdownAction": "none"}`},
	"a probe of the user's variables": {
		config: `{"image": "<base>", "remoteUser": "dev", "runArgs": <mapped>, "userEnvProbe": "loginShell",
			"postCreateCommand": "«[$FROM_PROFILE]»"}`,
	},
	"a folder of its own": {
		path:   ".devcontainer/x/devcontainer.json",
		config: `{"build": {"dockerfile": "Dockerfile"}, "name": "x", "postCreateCommand": "cat /x >> log"}`,
		files:  map[string]string{".devcontainer/x/Dockerfile": "FROM " + baseImage + "\nRUN echo x > /x\n"},
	},
	"a file in the workspace's folder": {
		path:   ".devcontainer.json",
		config: `{"image": "<base>", "name": "ünï", "postCreateCommand": "«ünï»"}`,
	},
	"characters that builders read": {
		config: `{"image": "<base>", "remoteEnv": {"Q": "a\"b'c\\d$e${f}#g\n\th", "T": "ends with \\"},
			"postCreateCommand": "printf '%s' \"$Q $T\" | tr -d '\\n\\t' >> log; «'\"x\" $HOME \\\\'»"}`,
	},
	"a command that fails": {
		config: `{"image": "<base>", "onCreateCommand": "«create»; exit 3", "postCreateCommand": "«never»"}`,
		fails:  true,
	},
	"a command on the machine that fails": {
		config: `{"image": "<base>", "initializeCommand": "«initialize»; exit 3"}`,
		fails:  true,
	},
	"labels to find it by": {
		config: `{"image": "<base>", "postCreateCommand": "«${devcontainerId}»"}`,
		args:   []string{"--id-label", "up.test=own"},
		label:  "up.test=own",
	},
	"additional Features": {
		config:   `{"image": "<base>", "postCreateCommand": "«own»"}`,
		args:     []string{"--additional-features", `{"./tool": {}}`},
		files:    feature("tool", `, "onCreateCommand": "«feature»"`),
		bypassed: true,
	},
	"arguments of the person": {
		config: `{"image": "<base>", "postCreateCommand": "«$R»", "postAttachCommand": "«never»"}`,
		args:   []string{"--remote-env", "R=r", "--mount", "type=volume,source=person,target=/person", "--skip-post-attach"},
	},
	"a prebuild": {
		config: `{"image": "<base>", "onCreateCommand": "«create»", "updateContentCommand": "«update»",
			"postCreateCommand": "«never»"}`,
		args: []string{"--prebuild"},
	},
	"no commands": {
		config: `{"image": "<base>", "onCreateCommand": "«never»"}`,
		args:   []string{"--skip-post-create"},
	},
}

// git runs git in a folder.
func git(t *testing.T, folder string, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", append([]string{"-C", folder}, arguments...)...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, output)
	}
}
