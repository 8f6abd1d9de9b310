"""What is otherwise behind Mongrel2 than on a socket: a test, or one of its parameters, and why. Each is reviewed."""

_METHODS = "Mongrel2 takes methods of capital letters only: 400"
_ABSOLUTE = "Mongrel2 takes the scheme off an absolute target, and the rest for its path"
_FORWARDED = "Mongrel2 adds X-Forwarded-For itself, in place of the client's"
_NO_PORT = "Mongrel2 does not tell the client's port"
_OWN = "needs a listener of gowsgi's own"
_CHUNK = "Mongrel2 takes chunks of 16 KB at most, without extensions or trailers"
_UPLOAD = "Mongrel2 passes a body on when it is all there, or as a file; how it comes is not gowsgi's to see"
_SOCKET = "there is no socket of the client's to take"
_FILES = "large bodies are in files of Mongrel2's, which gowsgi does not count"
_HELD = "gowsgi has no descriptor of the client's"

DIFFERENCES = {
    "test_same_environ": {
        "test_the_required_keys_of_a_simple_request": _NO_PORT,
        "test_requests_of_a_connection_do_not_share_their_environ": _NO_PORT,
        "test_the_path_of_an_absolute_target": _ABSOLUTE,
        "test_an_absolute_target_gives_path_and_host": _ABSOLUTE,
        "test_an_absolute_target_without_a_path": _ABSOLUTE,
        "test_a_host_that_disagrees_with_the_target_never_wins": _ABSOLUTE,
        "test_server_name_and_port_on_a_unix_socket": _OWN,
        "test_server_name_and_port_on_an_abstract_unix_socket": _OWN,
        "test_a_higher_minor_version_is_served_as_1_1": "Mongrel2 takes HTTP/1.0 and 1.1 only: 400",
        "test_any_token_is_a_method_and_keeps_its_case[M-SEARCH]": _METHODS,
        "test_any_token_is_a_method_and_keeps_its_case[get]": _METHODS,
        "test_names_with_underscores_cannot_pose_as_others": _FORWARDED,
        "test_heads_that_come_again_are_right": _FORWARDED,
        "test_environs_are_kept_of_heads_that_say_nothing_of_the_user[X-Plain]": _FORWARDED,
        "test_many_headers": "Mongrel2 takes fewer fields: limits.header_count",
    },
    "test_same_flask": {"test_proxy_fix_counts_its_hops": _FORWARDED},
    "test_same_input": {
        "test_large_bodies_arrive_whole_whatever_the_read_size[7-chunked]": _CHUNK,
        "test_large_bodies_arrive_whole_whatever_the_read_size[65536-chunked]": _CHUNK,
        "test_large_bodies_arrive_whole_whatever_the_read_size[10000000-chunked]": _CHUNK,
        "test_chunk_extensions_and_trailers_are_not_part_of_the_body": _CHUNK,
        "test_the_streams_of_the_standard_library_take_it[streaming-length]": _UPLOAD,
        "test_the_streams_of_the_standard_library_take_it[streaming-chunked]": _UPLOAD,
        "test_a_second_thread_gets_no_bytes_of_the_first": _UPLOAD,
        "test_a_body_cut_while_the_app_reads_raises_an_os_error": _UPLOAD,
        "test_100_continue_is_never_a_part_of_the_response": _UPLOAD,
    },
    "test_same_response": {
        "test_an_app_may_take_the_socket": _SOCKET,
        "test_small_pieces_leave_together": "Mongrel2 sends head and body as it gets them",
    },
    "test_same_slow_readers": {
        "test_waiting_for_a_slow_reader_leaves_no_descriptor_open": _HELD,
        "test_a_reader_that_stops_is_cut_when_the_app_has_long_finished": _HELD,
    },
    "test_same_temporary_space": {
        "test_a_body_that_cannot_be_stored_reaches_the_application": _FILES,
        "test_bodies_are_bounded_together": _FILES,
        "test_a_body_within_the_bound_is_stored": _FILES,
        "test_half_of_a_small_disk_is_left": _FILES,
    },
}
