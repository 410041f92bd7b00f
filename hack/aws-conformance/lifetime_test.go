package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"

	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/fixture"
)

func TestADayNeedsCredentialsThatLast(t *testing.T) {
	session := func(source string, left time.Duration) awssdk.Credentials {
		return awssdk.Credentials{Source: source, SessionToken: "t", CanExpire: left > 0, Expires: fixture.Noon.Add(left)}
	}
	in := func(d time.Duration) string { return fixture.Noon.Add(d).Format(time.RFC3339) }
	for name, test := range map[string]struct {
		found awssdk.Credentials
		told  string
		want  string // of the error
	}{
		"an access key":                            {awssdk.Credentials{Source: "EnvConfigCredentials"}, "", ""},
		"a container's role":                       {session("CredentialsEndpointProvider", time.Hour), "", ""},
		"a profile with role_arn":                  {session("AssumeRoleProvider", 15*time.Minute), "", ""},
		"a login that ends":                        {session("SSOProvider", 8*time.Hour), "", "end at 2026-"},
		"a login that lasts":                       {session("SSOProvider", 27*time.Hour), "", ""},
		"a session of which nothing tells the end": {session("EnvConfigCredentials", 0), "", "does not tell when"},
		"a session whose end is no time":           {session("EnvConfigCredentials", 0), "tomorrow", "does not tell when"},
		"a session that ends":                      {session("EnvConfigCredentials", 0), in(12 * time.Hour), "end at " + in(12*time.Hour)},
		"a session that lasts":                     {session("EnvConfigCredentials", 0), in(36 * time.Hour), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := outlasts(test.found, test.told, fixture.Noon)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestADayDoesNotStartWithShortLivedCredentials(t *testing.T) {
	emulator, err := awsemulator.Start(awsemulator.Options{RootMayAssumeRoles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emulator.Close() }) // the test is over
	ends := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": emulator.URL(), "AWS_REGION": emulator.Region(), "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
		"AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token", "AWS_CREDENTIAL_EXPIRATION": ends,
	} {
		t.Setenv(name, value)
	}
	var out, log bytes.Buffer
	s := settings{out: &out, log: &log, now: time.Now}
	if exit := s.main(t.Context(), []string{"--day"}); exit != 1 || !strings.Contains(log.String(), ends) {
		t.Errorf("exit code %d, said %q", exit, log.String())
	}
	if calls := emulator.Calls().Total(); calls != 0 {
		t.Errorf("%d calls were made", calls)
	}
}
