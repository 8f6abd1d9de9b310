package config

// What the server believes of proxies in front of it, and what it allows one client address.

const trustedByDefault = "127.0.0.1,::1,unix"

// forwardedFields are the names for forwarded_headers, those of internal/proxy.
var forwardedFields = []string{
	"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "forwarded",
}

var tableOfProxies = []Option{
	{Name: "forwarded_allow_ips", Flags: []string{"--forwarded-allow-ips"}, Type: List, Split: true, Metavar: "PEERS",
		Default: trustedByDefault, Env: "FORWARDED_ALLOW_IPS", Shown: trustedByDefault + ", or $FORWARDED_ALLOW_IPS",
		Group: GroupProxies,
		Help: "Proxies in front whose X-Forwarded-* and Forwarded fields are applied, separated by commas: addresses, " +
			"networks such as 10.0.0.0/8, unix for unix sockets, * for every peer; empty for none. These fields of " +
			"anybody else are removed from the request.",
		Compat: "In gunicorn peers on unix sockets are always trusted, only the scheme is applied, and the fields of " +
			"other peers reach the application.",
		validate: trustedPeer, at: func(c *Config) any { return &c.ForwardedAllowIPs }},
	{Name: "forwarded_headers", Flags: []string{"--forwarded-headers"}, Type: List, Split: true, Metavar: "NAMES",
		Default: "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix,forwarded",
		Shown:   "all of them", Group: GroupProxies,
		Help: "The fields that the proxies write or clear: x-forwarded-for, x-forwarded-proto, x-forwarded-host, " +
			"x-forwarded-port, x-forwarded-prefix and forwarded. All others are removed. Name only what your proxy " +
			"sets: what it passes on as it came is the client's own word.",
		validate: forwardedField, at: func(c *Config) any { return &c.ForwardedHeaders }},
	{Name: "proxy_protocol", Flags: []string{"--proxy-protocol"}, Type: Enum, Metavar: "VERSION", Default: "off",
		Values: []string{"off", "v1", "v2", "auto"}, Group: GroupProxies,
		Help: "Expect a PROXY protocol header at the start of every connection from the peers in --proxy-allow-from; " +
			"auto takes both versions.",
		Compat: "In gunicorn the header may be missing.",
		at:     func(c *Config) any { return &c.ProxyProtocol }},
	{Name: "proxy_allow_ips", Flags: []string{"--proxy-allow-from"}, Type: List, Split: true, Metavar: "PEERS",
		Default: trustedByDefault, Group: GroupProxies,
		Help: "Peers that speak the PROXY protocol, in the form of --forwarded-allow-ips. Connections of others are plain " +
			"HTTP, in which such a header is an error.",
		validate: trustedPeer, at: func(c *Config) any { return &c.ProxyAllowIPs }},

	{Name: "limit_address_connections", Flags: []string{"--limit-address-connections"}, Type: Int, Metavar: "N",
		Default: "0", Max: 1 << 24, Group: GroupLimits,
		Help: "Most open connections of one client address; 0 sets no limit. Further ones get 429 and are closed. Trusted " +
			"proxies do not count, and an IPv6 network of 64 bits is one address.",
		at: func(c *Config) any { return &c.LimitAddressConnections }},
	{Name: "limit_address_rate", Flags: []string{"--limit-address-rate"}, Type: Number, Metavar: "R", Default: "0",
		Max: 1e6, Group: GroupLimits,
		Help: "Most requests per second of one client address in the long run, such as 10 or 0.5; 0 sets no limit. More " +
			"get 429 with Retry-After.",
		at: func(c *Config) any { return &c.LimitAddressRate }},
	{Name: "limit_address_burst", Flags: []string{"--limit-address-burst"}, Type: Int, Metavar: "N", Default: "20",
		Min: 1, Max: 1 << 24, Group: GroupLimits,
		Help: "Most requests of one client address at once before --limit-address-rate counts.",
		at:   func(c *Config) any { return &c.LimitAddressBurst }},
}
