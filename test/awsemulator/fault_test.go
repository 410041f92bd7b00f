package awsemulator_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

func TestFaultsHitTheCallsThatTheyName(t *testing.T) {
	ctx := context.Background()
	for _, tc := range []struct {
		name  string
		fault awsemulator.Fault
		want  []string // of six calls
	}{
		{"the next two", awsemulator.Fault{Operation: "ecr:DescribeRepositories", Code: "ThrottlingException", Next: 2}, []string{"ThrottlingException", "ThrottlingException", "", "", "", ""}},
		{"every third", awsemulator.Fault{Operation: "ecr:*", Code: "ServerException", Every: 3}, []string{"", "", "ServerException", "", "", "ServerException"}},
		{"all", awsemulator.Fault{Operation: "*", Code: "KmsException"}, []string{"KmsException", "KmsException", "KmsException", "KmsException", "KmsException", "KmsException"}},
		{"another operation", awsemulator.Fault{Operation: "ecr:PutImage", Code: "ServerException"}, []string{"", "", "", "", "", ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, awsemulator.Options{})
			c := root(t, s)
			s.Faults().Add(tc.fault)
			var got []string
			for range 6 {
				_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
				got = append(got, code(err))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			s.Faults().Clear()
			_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
			wantCode(t, err, "")
		})
	}
}

func TestFaultsByProbabilityFollowTheirSeed(t *testing.T) {
	ctx := context.Background()
	run := func(seed uint64) string {
		s := start(t, awsemulator.Options{})
		c := root(t, s)
		s.Faults().Add(awsemulator.Fault{Operation: "ecr:*", Code: "ServerException", Probability: 0.5, Seed: seed})
		var b strings.Builder
		for range 40 {
			_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
			b.WriteByte("01"[min(1, len(code(err)))])
		}
		return b.String()
	}
	first, again, other := run(1), run(1), run(2)
	if first != again || first == other || !strings.Contains(first, "0") || !strings.Contains(first, "1") {
		t.Errorf("seed 1: %s and %s, seed 2: %s", first, again, other)
	}
}

func TestDroppedConnectionsAndLostAnswers(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	create := func(name string) error {
		_, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
		return err
	}
	there := func(name string) bool {
		_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
		return err == nil
	}
	s.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", DropConnection: true, Next: 1})
	if err := create("aa"); err == nil || there("aa") {
		t.Errorf("a dropped call had an effect, or no error: %v", err)
	}
	s.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", DropConnection: true, AfterEffect: true, Next: 1})
	if err := create("bb"); err == nil || !there("bb") {
		t.Errorf("a lost answer has no effect, or no error: %v", err)
	}
	s.Faults().Add(awsemulator.Fault{Operation: "ecr:CreateRepository", Code: "ServerException", AfterEffect: true, Next: 1})
	if err := create("cc"); code(err) != "ServerException" || !there("cc") {
		t.Errorf("an error after the effect: %v", err)
	}
}

func TestLatencyDelaysAndEndsWithTheClient(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	s.Faults().Add(awsemulator.Fault{Operation: "ecr:*", Latency: 50 * time.Millisecond, Next: 1})
	began := time.Now()
	if _, err := c.ecr.DescribeRepositories(context.Background(), &ecr.DescribeRepositoriesInput{}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("took %v", took)
	}
	s.Faults().Add(awsemulator.Fault{Operation: "ecr:*", Latency: time.Hour, Next: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err == nil {
		t.Error("an hour's latency was not waited for")
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html (token buckets)
func TestTokenBucketsThrottle(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, AWSRates: true})
	c := root(t, s)
	createRepository(t, c, "app")
	m := manifestOf("config", "layer", "")
	refused := func(calls int) (n int) {
		for range calls {
			_, err := c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m})
			if code(err) == "ThrottlingException" {
				n++
			}
		}
		return n
	}
	if n := refused(15); n != 5 {
		t.Errorf("%d of 15 at once refused, want 5: PutImage has 10 a second", n)
	}
	clock.Advance(300 * time.Millisecond)
	if n := refused(5); n != 2 {
		t.Errorf("%d of 5 refused after 0.3 s, want 2", n)
	}
	s.Faults().Limit(awsemulator.Rate{Operation: "iam:*", PerSecond: 1})
	_, err := c.iam.ListRoles(ctx, &iam.ListRolesInput{})
	wantCode(t, err, "")
	_, err = c.iam.ListRoles(ctx, &iam.ListRolesInput{})
	wantCode(t, err, "Throttling")
	// The registry says the same in its own words.
	pw := password(t, c)
	s.Faults().Limit(awsemulator.Rate{Operation: "ecr:BatchGetImage", PerSecond: 1})
	distribution(t, s, "GET", "/v2/app/manifests/v1", pw, nil)
	if res, body := distribution(t, s, "GET", "/v2/app/manifests/v1", pw, nil); res.StatusCode != http.StatusTooManyRequests || distributionCode(body) != "TOOMANYREQUESTS" {
		t.Errorf("registry: %d %s", res.StatusCode, body)
	}
}

// "A describe right after a create may say NotFound": the switch that stands for eventual consistency.
func TestReadsSeeNewThingsAfterTheConsistencyDelay(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, ConsistencyDelay: 2 * time.Second})
	c := root(t, s)
	createRepository(t, c, "app")
	describe := func() error {
		_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"app"}})
		return err
	}
	wantCode(t, describe(), "RepositoryNotFoundException")
	_, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")})
	wantCode(t, err, "RepositoryAlreadyExistsException")
	clock.Advance(2 * time.Second)
	wantCode(t, describe(), "")
	pushImage(t, s, c, "app", "v1")
	list := func() int {
		return len(must(c.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})).ImageIds)
	}
	if list() != 0 {
		t.Error("a new image is listed at once")
	}
	clock.Advance(2 * time.Second)
	if list() != 1 {
		t.Error("an image is not listed after the delay")
	}
}

func TestCallsAreLoggedAndCounted(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	pw := password(t, c)
	s.Calls().Reset()
	_, err := c.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("none")})
	wantCode(t, err, "RepositoryNotFoundException")
	distribution(t, s, "GET", "/v2/app/manifests/v1", pw, nil)
	distribution(t, s, "GET", "/v2/", "", nil)
	if diff := cmp.Diff(map[string]int{"ecr:ListImages": 1, "ecr:BatchGetImage": 1, "registry:GetVersion": 1}, s.Calls().Counts()); diff != "" {
		t.Error(diff)
	}
	type short struct {
		Op, Protocol, Code, Who, Resource string
		Status                            int
	}
	var got []short
	for _, x := range s.Calls().All() {
		got = append(got, short{x.Operation, x.Protocol, x.ErrorCode, x.Principal, x.Resource, x.Status})
	}
	arn := "arn:aws:ecr:us-east-1:123456789012:repository/"
	want := []short{
		{"ecr:ListImages", "json", "RepositoryNotFoundException", "arn:aws:iam::123456789012:root", arn + "none", 400},
		{"ecr:BatchGetImage", "registry", "ImageNotFoundException", "arn:aws:iam::123456789012:root", arn + "app", 404},
		{"registry:GetVersion", "registry", "UnrecognizedClientException", "", "", 401},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.Calls().Total() != 3 || s.Calls().Errors("ecr:ListImages") != 1 {
		t.Errorf("total %d, errors %d", s.Calls().Total(), s.Calls().Errors("ecr:ListImages"))
	}
}

func TestControlSurface(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	c := root(t, s)
	ask := func(method, what, body string) (int, string) {
		res, answer := distribution(t, s, method, "/_emulator/"+what, "", strings.NewReader(body))
		return res.StatusCode, answer
	}
	for _, tc := range []struct {
		method, what, body string
		status             int
		contains           string
	}{
		{"GET", "health", "", 200, "true"},
		{"POST", "clock", `{"advance":"24h"}`, 200, "2026-03-02T12:00:00Z"},
		{"POST", "clock", `{"advance":"-1h"}`, 400, "positive"},
		{"POST", "faults", `{"operation":"ecr:*","code":"ServerException","next":1,"latency":"1ms"}`, 200, "true"},
		{"GET", "faults", "", 200, "ServerException"},
		{"POST", "faults", `{"operation":"ecr:*","kode":"x"}`, 400, "unknown field"},
		{"POST", "faults", `{"code":"x"}`, 400, "operation"},
		{"POST", "rates", `{"operation":"ecr:PutImage","perSecond":0}`, 400, "perSecond"},
		{"POST", "lifecycle", "", 200, `"expired": 0`},
		{"POST", "images/age", `{"by":"soon"}`, 400, "positive"},
		{"POST", "images/age", `{"by":"1h"}`, 200, `"aged": 0`},
		{"POST", "layers/vanish", `{}`, 200, `"vanished": 0`},
		{"GET", "nonsense", "", 404, "docs/emulator.md"},
	} {
		if status, answer := ask(tc.method, tc.what, tc.body); status != tc.status || !strings.Contains(answer, tc.contains) {
			t.Errorf("%s %s: %d %s, want %d with %q", tc.method, tc.what, status, answer, tc.status, tc.contains)
		}
	}
	_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	wantCode(t, err, "ServerException")
	if _, answer := ask("GET", "calls/counts", ""); !strings.Contains(answer, `"ecr:DescribeRepositories": 1`) {
		t.Errorf("counts %s", answer)
	}
	if _, answer := ask("GET", "calls", ""); !strings.Contains(answer, "ServerException") {
		t.Errorf("calls %s", answer)
	}
	ask("DELETE", "calls", "")
	ask("DELETE", "faults", "")
	if s.Calls().Total() != 0 || len(s.Faults().All()) != 0 {
		t.Error("calls and faults are still there")
	}
	pw := password(t, c)
	if _, answer := ask("GET", "passwords", ""); !strings.Contains(answer, fmt.Sprintf("%q", pw)) {
		t.Errorf("passwords %s", answer)
	}
}

func TestStartRefusesWhatItCannotServe(t *testing.T) {
	for name, o := range map[string]awsemulator.Options{
		"all interfaces":    {Listen: ":0"},
		"a public address":  {Listen: "192.0.2.1:0"},
		"no address":        {Listen: "nonsense"},
		"a short account":   {AccountID: "1234"},
		"no region":         {Region: "Frankfurt"},
		"a key without one": {AccessKeyID: "AKIAONLY000000000000"},
	} {
		s, err := awsemulator.Start(o)
		if err == nil {
			t.Errorf("%s: started", name)
			_ = s.Close()
		}
	}
}
