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
		Help: "Proxies in front whose fields are applied, separated by commas: addresses, networks such as 10.0.0.0/8, unix " +
			"for unix sockets, * for every peer; empty for none. Of anybody else nothing is applied.",
		Compat:   "In gunicorn peers on unix sockets are always trusted, and X-Forwarded-For is not applied.",
		validate: trustedPeer, at: func(c *Config) any { return &c.ForwardedAllowIPs }},
	{Name: "forwarded_headers", Flags: []string{"--forwarded-headers"}, Type: List, Split: true, Metavar: "NAMES",
		Default: "x-forwarded-for,x-forwarded-proto", Group: GroupProxies,
		Help: "The fields that are applied of those proxies: x-forwarded-for, x-forwarded-proto, x-forwarded-host, " +
			"x-forwarded-port, x-forwarded-prefix and forwarded. Name only what your proxy sets: what it passes on as it " +
			"came is the client's own word. The application sees all of them, as they came.",
		validate: forwardedField, at: func(c *Config) any { return &c.ForwardedHeaders }},
	{Name: "forwarded_untrusted", Flags: []string{"--forwarded-untrusted"}, Type: Enum, Metavar: "RULE", Default: "pass",
		Values: []string{"pass", "drop"}, Group: GroupProxies,
		Help: "What becomes of X-Forwarded-*, X-Real-IP and Forwarded fields of other peers: pass them to the application as " +
			"they came, or drop them, which is better where no proxy stands in front or all of them are named.",
		at: func(c *Config) any { return &c.ForwardedUntrusted }},
	{Name: "secure_scheme_headers", Flags: []string{"--secure-scheme-headers"}, Type: List, Split: true,
		Metavar: "NAME=VALUE", Default: "X-FORWARDED-PROTOCOL=ssl,X-FORWARDED-PROTO=https,X-FORWARDED-SSL=on",
		Group: GroupProxies,
		Help: "Fields by which those proxies say that the client came by TLS, separated by commas, each with the value that " +
			"says so; https says so in all of them. A dict in Python. Two that contradict each other get 400. The three of the " +
			"default count only if x-forwarded-proto is among --forwarded-headers.",
		Compat:   "In gunicorn values are compared with case, and the option is for its configuration file only.",
		validate: schemeField, at: func(c *Config) any { return &c.SecureSchemeHeaders }},
	{Name: "forwarder_headers", Flags: []string{"--forwarder-headers"}, Type: List, Split: true, Metavar: "NAMES",
		Default: "SCRIPT_NAME,PATH_INFO", Group: GroupProxies,
		Help: "Field names with underscores that those proxies may send, whatever --header-map says, separated by commas; * " +
			"is all of them. SCRIPT_NAME says where the application is mounted, see --mount.",
		at: func(c *Config) any { return &c.ForwarderHeaders }},
	{Name: "proxy_protocol", Flags: []string{"--proxy-protocol"}, Type: Enum, Metavar: "VERSION", Default: "off",
		Alone:  "auto",
		Values: []string{"off", "v1", "v2", "auto"}, Group: GroupProxies,
		Help: "Expect a PROXY protocol header at the start of every connection from the peers in --proxy-allow-from; " +
			"auto, or nothing behind the flag, takes both versions.",
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
