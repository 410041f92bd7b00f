package override

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/jsonc"
)

// plainUser matches names that mean themselves in the expressions of the reference CLI's build.
var plainUser = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// RenumberedUser returns the user whose IDs the reference CLI changes to those of the local user, by a build at every
// new container. It returns "" if there is none, or if the user is not known before the CLI runs.
// https://containers.dev/implementors/json_reference/#general-properties (updateRemoteUserUID)
func RenumberedUser(c *devcontainer.Configuration, image Image) string {
	if c == nil || c.Properties() == nil {
		return ""
	}
	entries := image.entries()
	if own := c.Metadata(); own != nil {
		if entry, _, err := jsonc.Parse(own, maxNesting); err == nil {
			entries = append(entries, entry) // a second time, if the image brings it: the last one counts
		}
	}
	if update := last(entries, "updateRemoteUserUID", isBoolean); update != nil && !update.Truthy() {
		return ""
	}
	user := text(last(entries, "remoteUser", (*jsonc.Value).Truthy))
	switch {
	case user != "":
	case c.Type == devcontainer.TypeCompose:
		user = image.ServiceUser
	default:
		user = userArgument(c.Properties().Member("runArgs"))
		if user == "" {
			user = text(last(entries, "containerUser", (*jsonc.Value).Truthy))
		}
	}
	if user == "" {
		user = image.User
	}
	if _, err := strconv.ParseUint(user, 10, 64); err == nil || user == "root" || !plainUser.MatchString(user) {
		return "" // the CLI leaves root and numbers alone
	}
	return user
}

func isBoolean(v *jsonc.Value) bool { return v.Kind == jsonc.Boolean }

// last returns the last value of a property that counts.
func last(entries []jsonc.Value, name string, counts func(*jsonc.Value) bool) *jsonc.Value {
	for i := range slices.Backward(entries) {
		if value := entries[i].Member(name); value != nil && counts(value) {
			return value
		}
	}
	return nil
}

func text(v *jsonc.Value) string {
	if v == nil {
		return ""
	}
	return v.String()
}

// userArgument returns the user of the last --user in arguments of docker run.
func userArgument(arguments *jsonc.Value) string {
	if arguments == nil {
		return ""
	}
	for i := len(arguments.Elements) - 1; i >= 0; i-- {
		argument := arguments.Elements[i].Text()
		if (argument == "-u" || argument == "--user") && i+1 < len(arguments.Elements) {
			return arguments.Elements[i+1].Text()
		}
		if strings.HasPrefix(argument, "-u=") || strings.HasPrefix(argument, "--user=") {
			return argument[strings.Index(argument, "=")+1:]
		}
	}
	return ""
}

// KeepsIDs reports whether the reference CLI's build that gives a user the local user's IDs changes nothing in an image
// with this /etc/passwd. It returns false if that is not certain.
// https://github.com/devcontainers/cli/blob/main/scripts/updateUID.Dockerfile
func KeepsIDs(passwd []byte, user string, uid, gid int) bool {
	if !plainUser.MatchString(user) {
		return false
	}
	account := only(passwd, regexp.MustCompile(user+`:[^:]*:([^:]*):([^:]*):[^:]*:([^:]*)`))
	if account == nil {
		return false
	}
	wantUID, wantGID := strconv.Itoa(uid), strconv.Itoa(gid)
	if account[1] == wantUID {
		return account[2] == wantGID
	}
	// The build gives nobody the number of another user.
	other := only(passwd, regexp.MustCompile(`([^:]*):[^:]*:`+wantUID+`:.*`))
	return other != nil && plainUser.MatchString(other[1])
}

// only returns the match of an expression, if it matches one line alone, and from its beginning.
func only(lines []byte, expression *regexp.Regexp) []string {
	var found []string
	for line := range strings.Lines(string(lines)) {
		line = strings.TrimSuffix(line, "\n")
		match := expression.FindStringSubmatchIndex(line)
		if match == nil {
			continue
		}
		if found != nil || match[0] != 0 {
			return nil
		}
		found = expression.FindStringSubmatch(line)
	}
	return found
}
