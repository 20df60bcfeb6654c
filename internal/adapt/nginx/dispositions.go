package nginx

// What becomes of each directive: carried over, left out with a word, or refused.

import "strings"

// noted are directives that are left out without harm, and why.
var noted = map[string]string{
	"proxy_cache_path": "responses are kept in memory; [server.cache] with a folder keeps them on disk", "proxy_cache_revalidate": "what is stale is asked for with its ETag and date", "proxy_cache_background_update": "stale_while_revalidate says it", "proxy_cache_min_uses": "each response is kept that may be", "proxy_cache_lock_timeout": "wait of the cache is 10s", "proxy_cache_lock_age": "wait of the cache is 10s", "proxy_cache_methods": "GET and HEAD are answered", "proxy_cache_convert_head": "a HEAD is answered by a GET", "proxy_cache_max_range_offset": "ranges are served of what is kept", "fastcgi_cache_path": "responses are kept in memory; [server.cache] with a folder keeps them on disk", "fastcgi_cache_revalidate": "what is stale is asked for with its ETag and date", "fastcgi_cache_background_update": "stale_while_revalidate says it", "fastcgi_cache_min_uses": "each response is kept that may be", "fastcgi_cache_lock_timeout": "wait of the cache is 10s", "fastcgi_cache_lock_age": "wait of the cache is 10s", "fastcgi_cache_methods": "GET and HEAD are answered", "fastcgi_cache_convert_head": "a HEAD is answered by a GET", "fastcgi_cache_max_range_offset": "ranges are served of what is kept", "uwsgi_cache_path": "responses are kept in memory; [server.cache] with a folder keeps them on disk", "uwsgi_cache_revalidate": "what is stale is asked for with its ETag and date", "uwsgi_cache_background_update": "stale_while_revalidate says it", "uwsgi_cache_min_uses": "each response is kept that may be", "uwsgi_cache_lock_timeout": "wait of the cache is 10s", "uwsgi_cache_lock_age": "wait of the cache is 10s", "uwsgi_cache_methods": "GET and HEAD are answered", "uwsgi_cache_convert_head": "a HEAD is answered by a GET", "uwsgi_cache_max_range_offset": "ranges are served of what is kept", "scgi_cache_path": "responses are kept in memory; [server.cache] with a folder keeps them on disk", "scgi_cache_revalidate": "what is stale is asked for with its ETag and date", "scgi_cache_background_update": "stale_while_revalidate says it", "scgi_cache_min_uses": "each response is kept that may be", "scgi_cache_lock_timeout": "wait of the cache is 10s", "scgi_cache_lock_age": "wait of the cache is 10s", "scgi_cache_methods": "GET and HEAD are answered", "scgi_cache_convert_head": "a HEAD is answered by a GET", "scgi_cache_max_range_offset": "ranges are served of what is kept",
	"worker_processes": "one process answers on all processors", "worker_connections": "it takes as many as there are files (ulimit -n)",
	"worker_rlimit_nofile": "the limit of the process is used up to its hard one", "worker_cpu_affinity": "the system places threads", "worker_priority": "set it where the service is started (nice)",
	"worker_rlimit_core": "set it where the service is started", "worker_shutdown_timeout": "[server] shutdown_timeout is 30s", "worker_aio_requests": "there is no such queue",
	"working_directory": "paths are absolute", "multi_accept": "the runtime accepts", "accept_mutex": "the runtime accepts", "accept_mutex_delay": "the runtime accepts", "use": "the runtime chooses",
	"debug_connection": "there is no such log", "debug_points": "there are none", "daemon": "it runs in the foreground, as supervisors want it", "master_process": "the process is one",
	"lock_file": "nothing is locked", "timer_resolution": "times are exact", "thread_pool": "the runtime has threads", "pcre_jit": "regular expressions are RE2's", "env": "the environment is as it was started with",
	"load_module": "modules are built in", "ssl_engine": "TLS is Go's", "ssl_object_cache_inheritable": "TLS is Go's",
	"sendfile": "files leave by sendfile where it is possible", "sendfile_max_chunk": "the runtime shares", "tcp_nopush": "heads and bodies leave together", "tcp_nodelay": "it is on", "aio": "the runtime reads files",
	"aio_write": "the runtime writes files", "directio": "the system caches files", "directio_alignment": "the system caches files", "output_buffers": "buffers have a size of their own", "postpone_output": "nothing is put off",
	"read_ahead": "the system reads ahead", "types_hash_max_size": "tables grow by themselves", "types_hash_bucket_size": "tables grow by themselves", "server_names_hash_max_size": "tables grow by themselves",
	"server_names_hash_bucket_size": "tables grow by themselves", "variables_hash_max_size": "tables grow by themselves", "variables_hash_bucket_size": "tables grow by themselves",
	"map_hash_max_size": "tables grow by themselves", "map_hash_bucket_size": "tables grow by themselves", "proxy_headers_hash_max_size": "tables grow by themselves", "proxy_headers_hash_bucket_size": "tables grow by themselves",
	"connection_pool_size": "memory is the runtime's", "request_pool_size": "memory is the runtime's", "reset_timedout_connection": "what times out is closed", "lingering_close": "it lingers for two seconds",
	"lingering_time": "it lingers for two seconds", "lingering_timeout": "it lingers for two seconds", "client_header_buffer_size": "the head of a request has one bound, max_header",
	"client_body_buffer_size": "what is large goes to a file by itself", "client_body_in_single_buffer": "bodies have buffers of their own", "client_body_temp_path": "[server] spool is the folder", "client_body_in_file_only": "what is large goes to a file by itself",
	"server_tokens": "no version is told", "etag": "files have ETags", "log_not_found": "a file that is missing is not logged as an error", "log_subrequest": "the access log has the client's requests", "rewrite_log": "the log has no steps of rewriting",
	"open_file_cache": "[server.file_cache] does it by itself", "open_file_cache_valid": "[server.file_cache] does it by itself", "open_file_cache_min_uses": "[server.file_cache] does it by itself", "open_file_cache_errors": "[server.file_cache] does it by itself",
	"open_log_file_cache": "logs stay open", "uninitialized_variable_warn": "variables are resolved here", "merge_slashes": "several slashes count as one", "msie_padding": "no such browser is left", "msie_refresh": "no such browser is left",
	"server_name_in_redirect": "redirects are to the host that was asked for", "port_in_redirect": "redirects are paths", "absolute_redirect": "redirects are paths", "chunked_transfer_encoding": "it is used where HTTP has it", "keepalive_disable": "no such browser is left",
	"keepalive_requests": "a connection may have any number of requests", "keepalive_time": "a connection may be of any age", "resolver": "names are looked up by the system", "resolver_timeout": "names are looked up by the system",
	"ignore_invalid_headers": "a request with a malformed header is refused", "subrequest_output_buffer_size": "subrequests have no buffer", "max_ranges": "ranges are bounded by themselves", "gzip_buffers": "buffers have a size of their own", "gzip_window": "the encoder has its own", "gzip_hash": "the encoder has its own", "gzip_no_buffer": "the encoder has its own", "postpone_gzipping": "the encoder has its own", "gzip_vary": "Vary: Accept-Encoding is sent wherever it is true",
	"gzip_proxied": "what a proxy asks for is compressed as well", "gzip_http_version": "HTTP/1.0 is answered as it asks", "gzip_disable": "no such browser is left", "gunzip_buffers": "buffers have a size of their own",
	"ssl_ciphers": "Go's TLS chooses among safe ones", "ssl_prefer_server_ciphers": "Go's TLS chooses among safe ones", "ssl_dhparam": "no such exchange is spoken", "ssl_ecdh_curve": "Go's TLS chooses among safe ones", "ssl_conf_command": "TLS is Go's",
	"ssl_session_cache": "sessions are resumed by tickets", "ssl_session_timeout": "sessions are resumed by tickets", "ssl_session_tickets": "sessions are resumed by tickets", "ssl_session_ticket_key": "tickets have keys of their own, which change", "ssl_buffer_size": "records grow by themselves",
	"ssl_stapling": "authorities give it up; certificates are short-lived", "ssl_stapling_verify": "see ssl_stapling", "ssl_stapling_responder": "see ssl_stapling", "ssl_stapling_file": "see ssl_stapling", "ssl_trusted_certificate": "it is for ssl_stapling",
	"ssl_verify_depth": "chains are followed to their ends", "ssl_ocsp_cache": "authorities give it up", "ssl_ocsp_responder": "authorities give it up", "ssl_handshake_timeout": "the head of a request has header_timeout", "ssl_certificate_cache": "certificates are kept",
	"ssl_certificate_compression": "certificates are sent as they are",
	"http2":                       "HTTP/2 is negotiated with TLS", "http2_push": "browsers have given it up", "http2_push_preload": "browsers have given it up", "http2_max_concurrent_streams": "HTTP/2 has bounds of its own", "http2_max_concurrent_pushes": "browsers have given it up", "http2_max_requests": "HTTP/2 has bounds of its own",
	"http2_max_field_size": "max_header bounds it", "http2_max_header_size": "max_header bounds it", "http2_body_preread_size": "HTTP/2 has bounds of its own", "http2_streams_index_size": "HTTP/2 has bounds of its own", "http2_recv_timeout": "HTTP/2 has bounds of its own", "http2_idle_timeout": "idle_timeout holds", "http2_chunk_size": "HTTP/2 has bounds of its own", "http2_recv_buffer_size": "HTTP/2 has bounds of its own", "http2_pool_size": "memory is the runtime's",
	"http3": "HTTP/3 is off in what is made; see http3 of [site.tls]", "quic_retry": "HTTP/3 is off in what is made", "quic_gso": "HTTP/3 is off in what is made", "quic_host_key": "HTTP/3 is off in what is made", "quic_active_connection_id_limit": "HTTP/3 is off in what is made", "quic_bpf": "HTTP/3 is off in what is made", "http3_hq": "HTTP/3 is off in what is made", "http3_max_concurrent_streams": "HTTP/3 is off in what is made", "http3_stream_buffer_size": "HTTP/3 is off in what is made",
	"proxy_send_timeout": "the time of a back end to answer holds for what it is sent", "fastcgi_send_timeout": "the time of a back end to answer holds for what it is sent", "uwsgi_send_timeout": "the time of a back end to answer holds for what it is sent", "scgi_send_timeout": "the time of a back end to answer holds for what it is sent", "grpc_send_timeout": "the time of a back end to answer holds for what it is sent", "real_ip_recursive": "X-Forwarded-For is read from its end, up to the first address that is not trusted", "keepalive_min_timeout": "idle_timeout holds",
	"zone": "the servers of a group are known to all", "keepalive": "connections are kept by themselves", "limit_req_log_level": "refusals are in the access log", "limit_conn_log_level": "refusals are in the access log",
	"auth_delay": "passwords are compared at a bounded rate", "autoindex_exact_size": "a listing has sizes that people read, and JSON has exact ones", "autoindex_localtime": "a listing has times in UTC", "autoindex_format": "a listing is HTML or JSON, as the client wants it",
	"fastcgi_buffer_size": "buffers have a size of their own", "fastcgi_buffers": "buffers have a size of their own", "fastcgi_busy_buffers_size": "buffers have a size of their own", "fastcgi_max_temp_file_size": "[server] spool_max bounds it", "fastcgi_temp_path": "[server] spool is the folder", "fastcgi_temp_file_write_size": "buffers have a size of their own",
	"fastcgi_keep_conn": "connections are kept where the back end keeps them", "fastcgi_socket_keepalive": "it is on", "fastcgi_ignore_client_abort": "a request whose client leaves is ended", "fastcgi_force_ranges": "ranges are the back end's own", "fastcgi_send_lowat": "the system decides", "fastcgi_catch_stderr": "what programs write to stderr is logged", "proxy_buffer_size": "buffers have a size of their own", "proxy_buffers": "buffers have a size of their own", "proxy_busy_buffers_size": "buffers have a size of their own", "proxy_max_temp_file_size": "[server] spool_max bounds it", "proxy_temp_path": "[server] spool is the folder", "proxy_temp_file_write_size": "buffers have a size of their own",
	"proxy_socket_keepalive": "it is on", "proxy_http_version": "back ends are spoken to by HTTP/1.1", "proxy_ignore_client_abort": "a request whose client leaves is ended", "proxy_force_ranges": "ranges are the back end's own", "proxy_send_lowat": "the system decides", "proxy_ssl_session_reuse": "sessions are resumed", "proxy_ssl_ciphers": "Go's TLS chooses among safe ones", "proxy_ssl_protocols": "TLS 1.2 and 1.3 are spoken", "proxy_ssl_server_name": "the name is told", "proxy_ssl_verify_depth": "chains are followed to their ends", "proxy_ssl_conf_command": "TLS is Go's",
	"uwsgi_buffer_size": "buffers have a size of their own", "uwsgi_buffers": "buffers have a size of their own", "uwsgi_busy_buffers_size": "buffers have a size of their own", "uwsgi_max_temp_file_size": "[server] spool_max bounds it", "uwsgi_temp_path": "[server] spool is the folder", "uwsgi_temp_file_write_size": "buffers have a size of their own", "uwsgi_socket_keepalive": "it is on", "uwsgi_ignore_client_abort": "a request whose client leaves is ended", "uwsgi_force_ranges": "ranges are the back end's own",
	"scgi_buffer_size": "buffers have a size of their own", "scgi_buffers": "buffers have a size of their own", "scgi_busy_buffers_size": "buffers have a size of their own", "scgi_max_temp_file_size": "[server] spool_max bounds it", "scgi_temp_path": "[server] spool is the folder", "scgi_temp_file_write_size": "buffers have a size of their own", "scgi_socket_keepalive": "it is on", "scgi_ignore_client_abort": "a request whose client leaves is ended", "scgi_force_ranges": "ranges are the back end's own",
	"grpc_buffer_size": "buffers have a size of their own", "grpc_socket_keepalive": "it is on", "grpc_ssl_session_reuse": "sessions are resumed", "grpc_ssl_ciphers": "Go's TLS chooses among safe ones", "grpc_ssl_protocols": "TLS 1.2 and 1.3 are spoken", "grpc_ssl_server_name": "the name is told", "grpc_ssl_verify_depth": "chains are followed to their ends",
	"proxy_pass_header": "responses keep their headers, but for X-Accel-*", "fastcgi_pass_header": "responses keep their headers, but for X-Accel-*", "uwsgi_pass_header": "responses keep their headers, but for X-Accel-*", "scgi_pass_header": "responses keep their headers, but for X-Accel-*", "grpc_pass_header": "responses keep their headers, but for X-Accel-*",
	"underscores_in_headers": "names with _ do not reach back ends, since two headers could pass for one", "recursive_error_pages": "a page that is itself an error leaves a plain text",
}

// refused are directives that are not carried over: why, and what to do.
var refused = map[string][2]string{
	"sub_filter":               {"millrace does not change the bodies of responses", "have the app write what it is to say; to work over answers by a program there is filter (docs/filter.md)"},
	"sub_filter_last_modified": {"millrace does not change the bodies of responses", "leave it out with sub_filter"}, "sub_filter_once": {"millrace does not change the bodies of responses", "leave it out with sub_filter"}, "sub_filter_types": {"millrace does not change the bodies of responses", "leave it out with sub_filter"},
	"stream": {"millrace forwards no bare TCP or UDP", "leave that to nginx, or to HAProxy"}, "mail": {"millrace is no proxy of mail", "leave that to nginx"}, "google_perftools_profiles": {"there is no such profile", "millrace profile makes one"},
	"memcached_pass": {"millrace does not speak memcached's protocol", "the cache of a route keeps responses: cache (docs/cache.md)"}, "mirror": {"requests are sent to one back end", "leave it out"}, "mirror_request_body": {"requests are sent to one back end", "leave it out"},
	"limit_rate": {"responses have no rate", "leave it out; X-Accel-Limit-Rate is known"}, "charset": {"text is sent as UTF-8", "leave it out, or convert the files"}, "charset_map": {"text is sent as UTF-8", "convert the files"}, "override_charset": {"text is sent as UTF-8", "leave it out"},
	"ssi": {"millrace has no server-side includes", "have an app make the pages"}, "perl": {"millrace runs no Perl within", "make it an app: [app.NAME] command"}, "perl_modules": {"millrace runs no Perl within", "leave it out"}, "perl_require": {"millrace runs no Perl within", "leave it out"}, "perl_set": {"millrace runs no Perl within", "write a map"},
	"dav_methods": {"millrace has no WebDAV", "make an app do it"}, "create_full_put_path": {"millrace has no WebDAV", "make an app do it"}, "min_delete_depth": {"millrace has no WebDAV", "make an app do it"}, "dav_access": {"millrace has no WebDAV", "make an app do it"},
	"mp4": {"films are not cut up", "serve them as files: players ask for ranges"}, "flv": {"films are not cut up", "serve them as files: players ask for ranges"}, "image_filter": {"pictures are not changed", "make an app do it"}, "xslt_stylesheet": {"XML is not transformed", "make an app do it"}, "xml_entities": {"XML is not transformed", "make an app do it"},
	"addition_types": {"millrace does not change the bodies of responses", "make an app do it"}, "add_before_body": {"millrace does not change the bodies of responses", "make an app do it"}, "add_after_body": {"millrace does not change the bodies of responses", "make an app do it"},
	"secure_link": {"links are not checked", "have an app sign and check them: auth (docs/authorize.md)"}, "secure_link_md5": {"links are not checked", "have an app sign and check them: auth (docs/authorize.md)"}, "secure_link_secret": {"links are not checked", "have an app sign and check them: auth (docs/authorize.md)"},
	"slice": {"responses are not cut up", "leave it out"}, "random_index": {"no file is chosen at random", "write index"}, "userid": {"no cookie is made", "have an app make it"}, "valid_referers": {"there is no such table", "write if ($http_referer !~ …) { return 403; }"}, "referer_hash_max_size": {"there is no such table", "leave it out"}, "referer_hash_bucket_size": {"there is no such table", "leave it out"},
	"disable_symlinks": {"a file is looked at below its root in another way", "leave it out, and write follow_symlinks = false in the TOML: then no link leads out of a root"}, "post_action": {"nothing is asked after an answer", "leave it out"}, "add_trailer": {"no trailers are added", "leave it out"}, "early_hints": {"an app's hints pass; none are made", "leave it out"},
	"proxy_bind": {"the address that connections go out from is the system's", "leave it out"}, "fastcgi_bind": {"the address that connections go out from is the system's", "leave it out"}, "uwsgi_bind": {"the address that connections go out from is the system's", "leave it out"}, "scgi_bind": {"the address that connections go out from is the system's", "leave it out"}, "grpc_bind": {"the address that connections go out from is the system's", "leave it out"},
	"proxy_method": {"a request keeps its method", "leave it out"}, "proxy_set_body": {"a request keeps its body", "leave it out"}, "proxy_store": {"responses are not stored as files", "the cache of a route keeps them: cache (docs/cache.md)"}, "proxy_limit_rate": {"responses have no rate", "leave it out"},
	"sticky": {"it is of nginx's commercial version", "write sticky of [upstream.NAME] in the TOML"}, "ssl_crl": {"lists of revoked certificates are not looked at", "take the certificates' authority out of ssl_client_certificate"}, "ssl_ocsp": {"it is not asked whether the certificates of clients are revoked", "take out of ssl_client_certificate whom you do not trust"}, "ssl_password_file": {"keys have no passwords here", "write the key without one: openssl pkey"}, "ssl_early_data": {"no early data is taken, as it can be sent again by anyone", "leave it out"},
	"uwsgi_modifier1": {"requests are of uWSGI's kind 0", "leave it out"}, "uwsgi_modifier2": {"requests are of uWSGI's kind 0", "leave it out"}, "if_modified_since": {"dates are compared as HTTP has it", "leave it out"},
	"max_headers": {"max_header bounds the head of a request", "leave it out"},
}

// refusedFamilies are the same by the beginnings of their names.
var refusedFamilies = map[string][2]string{
	"memcached_": {"millrace does not speak memcached's protocol", "leave it out with memcached_pass"}, "geoip_": {"there is no table of countries", "leave it out"}, "userid_": {"no cookie is made", "leave it out"}, "ssi_": {"millrace has no server-side includes", "leave it out"}, "image_filter_": {"pictures are not changed", "leave it out"},
	"xslt_": {"XML is not transformed", "leave it out"}, "mp4_": {"films are not cut up", "leave it out"}, "ancient_browser": {"browsers are not told apart by tables", "write a map of $http_user_agent"}, "modern_browser": {"browsers are not told apart by tables", "write a map of $http_user_agent"}, "degra": {"there is no such measure", "leave it out"},
	"proxy_cache_": {"the cache has nothing of the kind", "leave it out (docs/cache.md)"}, "fastcgi_cache_": {"the cache has nothing of the kind", "leave it out (docs/cache.md)"}, "uwsgi_cache_": {"the cache has nothing of the kind", "leave it out (docs/cache.md)"}, "scgi_cache_": {"the cache has nothing of the kind", "leave it out (docs/cache.md)"}, "fastcgi_store": {"responses are not stored as files", "leave it out"}, "uwsgi_store": {"responses are not stored as files", "leave it out"}, "scgi_store": {"responses are not stored as files", "leave it out"}, "proxy_store_": {"responses are not stored as files", "leave it out"}, "uwsgi_ssl_": {"uwsgi is spoken without TLS", "take http, or a tunnel"}, "proxy_ssl_crl": {"lists of revoked certificates are not looked at", "leave it out"}, "grpc_ssl_": {"it is not known here", "leave it out"},
}

// carried are directives that what follows carries over.
var carried = strings.Fields(`
	http events server location upstream types map geo split_clients if set return rewrite break include limit_except
	user pid error_log access_log log_format listen server_name root alias index try_files internal autoindex error_page default_type satisfy allow deny
	auth_basic auth_basic_user_file auth_request auth_request_set limit_req limit_conn limit_req_zone limit_conn_zone limit_req_status limit_conn_status limit_req_dry_run limit_conn_dry_run
	gzip gzip_types gzip_comp_level gzip_min_length gzip_static expires add_header client_max_body_size client_body_timeout client_header_timeout send_timeout keepalive_timeout large_client_header_buffers
	ssl ssl_certificate ssl_certificate_key ssl_protocols ssl_client_certificate ssl_verify_client ssl_reject_handshake set_real_ip_from real_ip_header
	proxy_pass fastcgi_pass scgi_pass uwsgi_pass grpc_pass stub_status empty_gif hash ip_hash least_conn random least_time
	fastcgi_param scgi_param uwsgi_param fastcgi_index fastcgi_split_path_info
	proxy_set_header grpc_set_header proxy_redirect proxy_cookie_domain proxy_cookie_path proxy_cookie_flags proxy_hide_header fastcgi_hide_header uwsgi_hide_header scgi_hide_header grpc_hide_header
	proxy_connect_timeout proxy_read_timeout fastcgi_connect_timeout fastcgi_read_timeout uwsgi_connect_timeout uwsgi_read_timeout scgi_connect_timeout scgi_read_timeout grpc_connect_timeout grpc_read_timeout
	proxy_buffering fastcgi_buffering uwsgi_buffering scgi_buffering proxy_request_buffering fastcgi_request_buffering uwsgi_request_buffering scgi_request_buffering
	proxy_intercept_errors fastcgi_intercept_errors uwsgi_intercept_errors scgi_intercept_errors grpc_intercept_errors proxy_ignore_headers fastcgi_ignore_headers uwsgi_ignore_headers scgi_ignore_headers grpc_ignore_headers
	proxy_next_upstream proxy_next_upstream_tries proxy_next_upstream_timeout fastcgi_next_upstream fastcgi_next_upstream_tries fastcgi_next_upstream_timeout uwsgi_next_upstream uwsgi_next_upstream_tries uwsgi_next_upstream_timeout scgi_next_upstream scgi_next_upstream_tries scgi_next_upstream_timeout grpc_next_upstream grpc_next_upstream_tries grpc_next_upstream_timeout
	proxy_pass_request_headers proxy_pass_request_body fastcgi_pass_request_headers fastcgi_pass_request_body uwsgi_pass_request_headers uwsgi_pass_request_body scgi_pass_request_headers scgi_pass_request_body
	proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_name proxy_ssl_certificate proxy_ssl_certificate_key
	proxy_cache fastcgi_cache uwsgi_cache scgi_cache proxy_cache_key fastcgi_cache_key uwsgi_cache_key scgi_cache_key proxy_cache_valid fastcgi_cache_valid uwsgi_cache_valid scgi_cache_valid
	proxy_cache_bypass fastcgi_cache_bypass uwsgi_cache_bypass scgi_cache_bypass proxy_no_cache fastcgi_no_cache uwsgi_no_cache scgi_no_cache
	proxy_cache_lock fastcgi_cache_lock uwsgi_cache_lock scgi_cache_lock proxy_cache_use_stale fastcgi_cache_use_stale uwsgi_cache_use_stale scgi_cache_use_stale limit_rate`)

// dispose notes or refuses a directive that is not carried over.
func (a *adapter) dispose(d *directive) {
	switch {
	case isCarried(d.name):
		if d.name != "limit_rate" {
			return
		}
		if d.arg(0) == "0" {
			a.note(d, "responses have no rate")
			return
		}
	case d.name == "charset" && strings.EqualFold(d.arg(0), "utf-8"):
		a.note(d, "text is UTF-8")
		return
	case off(d):
		a.note(d, "off, as it is here")
		return
	case noted[d.name] != "":
		a.note(d, noted[d.name])
		return
	}
	if why, is := refused[d.name]; is {
		a.refuse(d, why[0], why[1])
		return
	}
	for prefix, why := range refusedFamilies {
		if strings.HasPrefix(d.name, prefix) {
			a.refuse(d, why[0], why[1])
			return
		}
	}
	a.refuse(d, "there is nothing of the kind here", "leave it out if the site can do without")
}

// off reports whether a directive turns off what is not there.
func off(d *directive) bool {
	switch d.name {
	case "ssi", "charset", "override_charset", "userid", "image_filter", "mirror", "disable_symlinks", "perl", "slice", "ssl_early_data", "proxy_bind", "fastcgi_bind", "uwsgi_bind", "scgi_bind", "proxy_store", "fastcgi_store", "create_full_put_path", "dav_methods", "random_index", "http2_push", "underscores_in_headers", "gunzip", "source_charset", "proxy_cache_lock", "proxy_cache_bypass", "ssl_ocsp":
		return len(d.args) == 1 && (d.arg(0) == "off" || d.arg(0) == "0")
	case "limit_rate_after", "uwsgi_modifier1", "uwsgi_modifier2", "proxy_limit_rate", "fastcgi_limit_rate", "scgi_limit_rate", "uwsgi_limit_rate":
		return d.arg(0) == "0"
	case "charset_types", "add_trailer_inherit":
		return true
	}
	return false
}

func isCarried(name string) bool {
	for _, c := range carried {
		if c == name {
			return true
		}
	}
	return false
}
