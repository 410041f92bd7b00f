package aws

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// callTimeout limits one call, including all its attempts and the time it waits for its turn.
const callTimeout = 30 * time.Second

// maxAttempts is how often one call is tried before its error is returned. Reconcilers retry later anyway, so the
// attempts only cover failures that pass within a second.
const maxAttempts = 3

// Target is the destination of calls: a region, and the role that reaches the account, if it is not the controller's
// own account. It is comparable. Equal targets share clients, rate limits and credentials.
type Target struct {
	Region        string
	AssumeRoleARN string
	ExternalID    string
}

// Options are the settings of a Provider. All settings of AWS itself come from the SDK's default configuration.
type Options struct {
	// UserAgent is added to the SDK's user agent, such as imagecache/v1.2.3.
	UserAgent string
	// SessionName names the controller's sessions in other accounts' audit logs. By default it is
	// imagecache-controller.
	SessionName string
	// Registerer registers the call metrics. Nil means no metrics.
	Registerer prometheus.Registerer
}

// Provider creates clients. It is safe for concurrent use.
type Provider struct {
	config      awssdk.Config
	roleARN     string
	sessionName string
	http        *awshttp.BuildableClient
	time        serverTime

	mu      sync.Mutex
	clients map[Target]*Clients
}

// NewProvider reads the SDK's default configuration: environment, shared configuration, web identity, and the SDK's
// other sources. It makes no call.
func NewProvider(ctx context.Context, options Options) (*Provider, error) {
	// A BuildableClient, because the SDK must be able to add AWS_CA_BUNDLE to it. The controller makes many
	// concurrent calls to one endpoint, so it keeps more idle connections than the SDK's ten per host.
	client := awshttp.NewBuildableClient().WithTransportOptions(keepConnections)
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(client),
		config.WithRetryer(newRetryer),
		config.WithAPIOptions([]func(*middleware.Stack) error{PlainBodies}),
	)
	if err != nil {
		return nil, fmt.Errorf("load the AWS SDK's configuration: %w", err)
	}
	metrics, err := newCallMetrics(options.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register AWS call metrics: %w", err)
	}
	cfg.APIOptions = append(cfg.APIOptions, metrics.install)
	if options.UserAgent != "" {
		cfg.AppID = options.UserAgent
	}
	if options.SessionName == "" {
		options.SessionName = "imagecache-controller"
	}
	p := &Provider{
		config: cfg, roleARN: webIdentityRole(cfg), sessionName: options.SessionName, http: client,
		clients: map[Target]*Clients{},
	}
	p.config.APIOptions = append(p.config.APIOptions, p.time.install)
	if cfg.Credentials != nil {
		p.config.Credentials = p.cached(cfg.Credentials)
	}
	return p, nil
}

// Clients are the clients of one target.
type Clients struct {
	Region         string
	ECR            *ecr.Client
	IAM            *iam.Client
	KMS            *kms.Client
	STS            *sts.Client
	CloudFormation *cloudformation.Client
	Tagging        *resourcegroupstaggingapi.Client
	// HTTP reads from presigned addresses of AWS.
	HTTP awssdk.HTTPClient

	config   awssdk.Config
	time     *serverTime
	roleARN  string
	identity identity
}

// Clients returns the target's clients, the same ones each time. It makes no call.
func (p *Provider) Clients(target Target) *Clients {
	p.mu.Lock()
	defer p.mu.Unlock()
	if clients, ok := p.clients[target]; ok {
		return clients
	}
	cfg := p.config.Copy()
	if target.Region != "" {
		cfg.Region = target.Region
	}
	limits := newLimits()
	cfg.APIOptions = append(cfg.APIOptions, limits.install)
	roleARN := p.roleARN
	if target.AssumeRoleARN != "" {
		roleARN = target.AssumeRoleARN
		cfg.Credentials = p.cached(stscreds.NewAssumeRoleProvider(
			sts.NewFromConfig(cfg), target.AssumeRoleARN, func(o *stscreds.AssumeRoleOptions) {
				o.RoleSessionName = p.sessionName
				if target.ExternalID != "" {
					o.ExternalID = awssdk.String(target.ExternalID)
				}
			}))
	}
	clients := &Clients{
		Region:         cfg.Region,
		ECR:            ecr.NewFromConfig(cfg),
		IAM:            iam.NewFromConfig(cfg),
		KMS:            kms.NewFromConfig(cfg),
		STS:            sts.NewFromConfig(cfg),
		CloudFormation: cloudformation.NewFromConfig(cfg),
		Tagging:        resourcegroupstaggingapi.NewFromConfig(cfg, withoutFIPS),
		HTTP:           p.http,
		config:         cfg,
		time:           &p.time,
		roleARN:        roleARN,
		identity:       identity{turn: make(chan struct{}, 1)},
	}
	p.clients[target] = clients
	return clients
}

// Keep lets go of the clients of all targets but those that are named, with their rate limits and credentials. Whoever
// still has such clients may go on using them.
func (p *Provider) Keep(named map[Target]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.clients, func(target Target, _ *Clients) bool { return !named[target] })
}

// withoutFIPS lets the tagging service be reached with AWS_USE_FIPS_ENDPOINT: it has no FIPS endpoint in any partition
// (https://docs.aws.amazon.com/general/latest/gr/arg.html), and the SDK would call a name that does not exist. The
// controller only reads names and tags of repositories from it.
func withoutFIPS(o *resourcegroupstaggingapi.Options) {
	o.EndpointOptions.UseFIPSEndpoint = awssdk.FIPSEndpointStateDisabled
}

// cached keeps credentials until shortly before AWS ends them.
func (p *Provider) cached(credentials awssdk.CredentialsProvider) awssdk.CredentialsProvider {
	return awssdk.NewCredentialsCache(localExpiry{credentials, &p.time},
		func(o *awssdk.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
}

// Clock is Provider.Clock.
func (c *Clients) Clock(local clock.PassiveClock) clock.PassiveClock {
	return correctedClock{local, c.time}
}

// ECRAs returns a client of the same region, settings and rate limits that uses other credentials.
func (c *Clients) ECRAs(credentials awssdk.CredentialsProvider) *ecr.Client {
	cfg := c.config.Copy()
	cfg.Credentials = credentials
	return ecr.NewFromConfig(cfg)
}

// newRetryer retries failures that pass soon: broken connections, AWS' own failures, throttling. It has no retry
// quota: all operations of a client would share the quota, so a throttled operation would use up the attempts of
// others.
func newRetryer() awssdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(backoff)
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.RetryableError{},
			retry.RetryableConnectionError{},
			retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
			retry.RetryableErrorCode{Codes: retry.DefaultRetryableErrorCodes},
			retry.RetryableErrorCode{Codes: throttleCodes},
		}
	})
}

// webIdentityRole returns the role of AWS_ROLE_ARN, as IRSA sets it. Only this variable contains the role's path.
func webIdentityRole(cfg awssdk.Config) string {
	for _, source := range cfg.ConfigSources {
		if environment, ok := source.(config.EnvConfig); ok {
			return environment.RoleARN
		}
	}
	return ""
}
